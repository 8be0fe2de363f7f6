"""``sdrest generate``: a picture from the command line, in this process or by a running server."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_from, settings_options
from sdrest.cli.serve import serving
from sdrest.core.errors import SdrestError
from sdrest.settings import LogLevel

_OPTIONS = (
    "negative_prompt",
    "model",
    "width",
    "height",
    "steps",
    "cfg_scale",
    "sampler",
    "scheduler",
    "seed",
    "batch_size",
)


@click.command()
@click.argument("prompt")
@click.option(
    "-o", "--output-file", type=click.Path(path_type=Path, dir_okay=False), default="out.png", show_default=True
)
@click.option("--url", help="Use the server at this address instead of working here.")
@click.option("--api-key", envvar="SDREST_API_KEY", help="Key for the server.")
@click.option("-n", "--negative-prompt")
@click.option("-m", "--model")
@click.option("-W", "--width", type=int)
@click.option("-H", "--height", type=int)
@click.option("--steps", type=int)
@click.option("--cfg-scale", type=float)
@click.option("--sampler")
@click.option("--scheduler")
@click.option("-s", "--seed", type=int)
@click.option("-b", "--batch-size", type=int, help="Number of pictures; further ones get -1, -2 … before the ending.")
@settings_options("models_dir", "threads")
def generate(
    prompt: str, output_file: Path, url: str | None, api_key: str | None, config: Path | None, **flags: Any
) -> None:
    """Make a picture from PROMPT."""
    body = {name: value for name in _OPTIONS if (value := flags.pop(name)) is not None}
    configure_logging(LogLevel.ERROR, as_json=False)
    try:
        files = asyncio.run(_generate({"prompt": prompt, **body}, output_file, url, api_key, config, flags))
    except httpx.HTTPError as error:
        raise click.ClickException(f"cannot reach {url}: {error}") from None
    except SdrestError as error:
        raise click.ClickException(error.message) from None
    for file in files:
        click.echo(file)


async def _generate(
    body: dict[str, Any], target: Path, url: str | None, api_key: str | None, config: Path | None, flags: dict[str, Any]
) -> list[Path]:
    if url:
        return await _ask(url, api_key, body, target)
    with tempfile.TemporaryDirectory(prefix="sdrest-") as data_dir:
        # A server of this process, for this command only: the same path through the queue as everybody else's.
        own = {"data_dir": data_dir, "host": "127.0.0.1", "port": 0, "auth": "none", "log_level": "error"}
        async with serving(settings_from(config, {**flags, **own})) as server:
            return await _ask(server.url, None, body, target)


async def _ask(url: str, api_key: str | None, body: dict[str, Any], target: Path) -> list[Path]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    rename = {"sampler": "sampling_method", "batch_size": "batch_count"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=httpx.Timeout(30, read=None)) as client:
        reply = await client.post("/api/generate/text2img", json={rename.get(k, k): v for k, v in body.items()})
        job_id = _checked(reply)["job_id"]
        await _follow(client, job_id)
        result = _checked(await client.get(f"/api/v1/generate/{job_id}"))
    if result["status"] != "completed":
        raise click.ClickException(result.get("error") or f"the job is {result['status']}")
    files = []
    for index, image in enumerate(result["images"]):
        file = target if index == 0 else target.with_stem(f"{target.stem}-{index}")
        file.write_bytes(base64.b64decode(image["data"]))
        files.append(file)
    return files


def _checked(reply: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = reply.json()
    if reply.is_error:
        errors = body.get("details", {}).get("errors") or []
        lines = "\n".join(f"  {item['field']}: {item['message']}" for item in errors)
        raise click.ClickException((lines and f"the request is not right:\n{lines}") or str(body.get("error")))
    return body


async def _follow(client: httpx.AsyncClient, job_id: str) -> None:
    """Show the job's progress until it has ended."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("waiting", total=1.0)
        async with client.stream("GET", f"/api/jobs/{job_id}/events") as stream:
            event = ""
            async for line in stream.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "progress":
                    data = json.loads(line.removeprefix("data: "))
                    steps = f" {data['step']}/{data['total_steps']}" if data["total_steps"] else ""
                    bar.update(shown, completed=data["fraction"], description=data["stage"] + steps)
