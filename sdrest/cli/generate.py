"""``sdrest generate``: a picture from the command line, in this process or by a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sdrest.cli.connecting import connected, problems_told, server_options
from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_options
from sdrest.client import JobFailed
from sdrest.client import Progress as JobProgress
from sdrest.settings import MODEL_FOLDERS, LogLevel

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
    "preset",
    "prompt_template",
)


@click.command()
@click.argument("prompt")
@click.option(
    "-o", "--output-file", type=click.Path(path_type=Path, dir_okay=False), default="out.png", show_default=True
)
@server_options
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
@click.option("--preset", help="Name of a preset; the options given here go before it.")
@click.option("--prompt-template", help="Name of a template that the prompt is put into.")
@settings_options("models_dir", *MODEL_FOLDERS, "threads")
def generate(
    prompt: str, output_file: Path, url: str | None, api_key: str | None, config: Path | None, **flags: Any
) -> None:
    """Make a picture from PROMPT."""
    body = {name: value for name in _OPTIONS if (value := flags.pop(name)) is not None}
    configure_logging(LogLevel.ERROR, as_json=False)
    with problems_told(url):
        files = asyncio.run(_generate({"prompt": prompt, **body}, output_file, url, api_key, config, flags))
    for file in files:
        click.echo(file)


async def _generate(
    body: dict[str, Any], target: Path, url: str | None, api_key: str | None, config: Path | None, flags: dict[str, Any]
) -> list[Path]:
    async with connected(url, api_key, config, flags, needs_engine=True) as client:
        job = await client.submit("text2img", batch_count=body.pop("batch_size", None), **body)
        with _progress_bar() as show:
            job = await client.wait(job, on_progress=show)
        if job.status != "completed":
            raise JobFailed(job)
        return await client.save(job, target)


@contextmanager
def _progress_bar() -> Iterator[Callable[[JobProgress], None]]:
    """A bar on the terminal for the length of the block; what is given shows a job's progress on it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("waiting", total=1.0)

        def show(progress: JobProgress) -> None:
            steps = f" {progress.step}/{progress.total_steps}" if progress.total_steps else ""
            bar.update(shown, completed=progress.fraction, description=progress.stage + steps)

        yield show
