"""``sdrest generate``: a picture from the command line, in this process or by a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sdrest.cli.connecting import connected, problems_told, server_options
from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_options
from sdrest.client import AsyncClient, JobFailed
from sdrest.client import Progress as JobProgress
from sdrest.settings import MODEL_PLACES, LogLevel

F = TypeVar("F", bound=Callable[..., Any])

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
#: The format of a file by the ending of its name.
_FORMATS = {".png": "png", ".webp": "webp", ".avif": "avif", ".jpg": "jpeg", ".jpeg": "jpeg"}


def picture_options(command: F) -> F:
    """Decorate a command that makes a picture with its argument PROMPT and the options that say which one."""
    target = click.Path(path_type=Path, dir_okay=False)
    for option in reversed(
        (
            click.argument("prompt"),
            click.option(
                "-o",
                "--output-file",
                type=target,
                default="out.png",
                show_default=True,
                help="The picture; its ending says the format: .png, .webp, .avif or .jpg.",
            ),
            click.option("-n", "--negative-prompt"),
            click.option("-m", "--model"),
            click.option("-W", "--width", type=int),
            click.option("-H", "--height", type=int),
            click.option("--steps", type=int),
            click.option("--cfg-scale", type=float),
            click.option("--sampler"),
            click.option("--scheduler"),
            click.option("-s", "--seed", type=int),
            click.option(
                "-b",
                "--batch-size",
                type=int,
                help="Number of pictures; further ones get -1, -2 … before the ending.",
            ),
            click.option("--preset", help="Name of a preset; the options given here go before it."),
            click.option("--prompt-template", help="Name of a template that the prompt is put into."),
        )
    ):
        command = option(command)
    return command


def parameters_from(prompt: str, flags: dict[str, Any]) -> dict[str, Any]:
    """The request that the options of :func:`picture_options` make; they are taken out of ``flags``."""
    given = {name: flags.pop(name) for name in _OPTIONS}
    return {"prompt": prompt, **{name: value for name, value in given.items() if value is not None}}


@click.command()
@picture_options
@server_options
@settings_options(*MODEL_PLACES, "data_dir", "threads")
def generate(
    prompt: str, output_file: Path, url: str | None, api_key: str | None, config: Path | None, **flags: Any
) -> None:
    """Make a picture from PROMPT."""
    body = parameters_from(prompt, flags)
    configure_logging(LogLevel.ERROR, as_json=False)

    async def work() -> list[Path]:
        async with connected(url, api_key, config, flags, needs_engine=True) as client:
            return await paint(client, body, output_file)

    with problems_told(url):
        files = asyncio.run(work())
    for file in files:
        click.echo(file)


async def paint(client: AsyncClient, body: dict[str, Any], target: Path) -> list[Path]:
    """Make the pictures of a request, in the format that the file's name says, and write them; their files.

    There is a bar on the terminal meanwhile.

    Raises:
        ServerError: the request is wrong.
        JobFailed: the job failed or was cancelled.
    """
    if (ending := target.suffix.lower()) in _FORMATS:
        body = {**body, "output_format": _FORMATS[ending]}
    job = await client.submit("text2img", batch_count=body.get("batch_size"), **{**body, "batch_size": None})
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
