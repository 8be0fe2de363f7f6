"""``sd-convert``: convert model files between types, look into them, and measure what a conversion lost."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sdrest import __version__
from sdrest.cli import model_reports
from sdrest.cli.interrupts import heed_interrupts
from sdrest.conversion import run
from sdrest.conversion.chart import draw_chart
from sdrest.conversion.compare import check_values, compare_files, compare_with_plan
from sdrest.conversion.plan import Conversion, Plan, make_plan
from sdrest.conversion.rules import parse_rules
from sdrest.core.errors import Cancelled, InvalidInput, SdrestError
from sdrest.core.tensor_types import WRITABLE, parse_writable_type

_PATH = click.Path(path_type=Path)
_TYPES = ", ".join(kind.value for kind in WRITABLE)
_INTERRUPTED = 130

# Where nobody looks, lines stay whole for the program that reads them.
_WIDE = 4096
console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
errors = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _WIDE)


class _DefaultToConvert(click.Group):
    """``sd-convert IN OUT`` is ``sd-convert convert IN OUT``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, "-h", "--help", "-v", "--version"}
        if args and args[0] not in known:
            args = ["convert", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_DefaultToConvert, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-v", "--version")
def main() -> None:
    """Convert model files between types: sd-convert INPUT OUTPUT --type q8_0.

    The command's own options are shown by sd-convert convert --help.
    """
    heed_interrupts()


@main.command()
@click.argument("source", metavar="INPUT", type=_PATH)
@click.argument("target", metavar="OUTPUT", type=_PATH)
@click.option(
    "-t", "--type", "type_name", default="", help=f"Type of the weights: {_TYPES}. Without it only rules change types."
)
@click.option("--vae", type=_PATH, help="Put this autoencoder in, instead of the one that INPUT may hold.")
@click.option("--rules", default="", help='Types for some tensors, as "PATTERN=TYPE,…"; the first match counts.')
@click.option("--convert-names", is_flag=True, help="Rename tensors to the library's own names.")
@click.option(
    "--best",
    is_flag=True,
    help="Search for the scales of least error, as the library's own converter does: the same bytes, much slower.",
)
@click.option("--verify", is_flag=True, help="Read every value back and compare it with INPUT.")
@click.option(
    "--plan", "plan_only", is_flag=True, help="Show the result's size and every tensor's type; write nothing."
)
@click.option("--json", "as_json", is_flag=True, help="With --plan: print JSON.")
@click.option("-f", "--force", is_flag=True, help="Overwrite OUTPUT.")
@click.option("-j", "--threads", type=click.IntRange(1, 256), help="Threads; all processors by default.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def convert(
    source: Path,
    target: Path,
    type_name: str,
    vae: Path | None,
    rules: str,
    *,
    convert_names: bool,
    best: bool,
    verify: bool,
    plan_only: bool,
    as_json: bool,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> None:
    """Write INPUT's weights to OUTPUT (.gguf or .safetensors) as another type.

    INPUT is a GGUF, safetensors or torch file, or a diffusers folder. OUTPUT appears only when it is complete and
    checked.
    """
    with _reported():
        found = parse_writable_type(type_name) if type_name else None
        if type_name and found is None:
            raise InvalidInput(f"unknown type {type_name!r}; types that can be written: {_TYPES}", field="--type")
        if found is not None and found.note and not quiet:
            errors.print(f"[yellow]{found.note}[/]")
        request = Conversion(
            source=source,
            target=target,
            type=found.type if found else None,
            vae=vae,
            rules=parse_rules(rules),
            convert_names=convert_names,
            search=best,
            overwrite=force or plan_only,
        )
        plan = make_plan(request)
        if plan_only:
            model_reports.print_plan(console, plan, as_json=as_json)
            return
        _convert(plan, threads, verify=verify, quiet=quiet)


@main.command()
@click.argument("file", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(file: Path, *, as_json: bool) -> None:
    """Show what FILE holds: kind, architecture, metadata, and every tensor's shape, type and size."""
    with _reported():
        model_reports.print_inspection(console, file, as_json=as_json)


@main.command()
@click.argument("first", metavar="A", type=_PATH)
@click.argument("second", metavar="B", type=_PATH)
@click.option("--chart", type=_PATH, help="Draw the error by tensor into this PNG file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "-n", "--worst", default=20, show_default=True, type=click.IntRange(0), help="Tensors listed, worst first."
)
def compare(first: Path, second: Path, chart: Path | None, *, as_json: bool, worst: int) -> None:
    """Measure how much the tensors of B differ from those of A (maximum, RMSE, signal-to-noise ratio)."""
    with _reported(), _interruptible() as cancelled:
        with _bar("comparing", quiet=as_json) as advance:
            found = compare_files(first, second, advance, cancelled)
        if chart is not None:
            draw_chart(found, chart, f"{second.name} against {first.name}")
        model_reports.print_comparison(console, found, as_json=as_json, worst=worst)
        if chart is not None and not as_json:
            console.print(f"chart: {chart}")


def _convert(plan: Plan, threads: int | None, *, verify: bool, quiet: bool) -> None:
    for note in () if quiet else plan.notes:
        errors.print(f"[yellow]{note}[/]")
    with _interruptible() as cancelled:
        with _bar(plan.request.target.name, quiet=quiet) as advance:
            done = run.convert(
                plan,
                threads=threads,
                progress=lambda step: advance(step.done_bytes, step.total_bytes),
                cancelled=cancelled,
            )
        if not quiet:
            rate = done.source_bytes / max(done.seconds, 1e-9) / 1e6
            types = ", ".join(f"{count} {kind.value}" for kind, count in plan.types().items())
            console.print(
                f"{done.path}: {done.nbytes / 1e6:.1f} MB from {done.source_bytes / 1e6:.1f} MB, {done.tensors} tensors "
                f"({types}), {done.seconds:.1f} s, {rate:.0f} MB/s"
            )
        if verify:
            _verify(plan, done.path, cancelled, quiet=quiet)


def _verify(plan: Plan, path: Path, cancelled: Callable[[], bool], *, quiet: bool) -> None:
    with _bar("verifying", quiet=quiet) as advance:
        found = compare_with_plan(plan, path, advance, cancelled)
    check_values(found)
    worst = found.worst
    if not quiet and worst is not None:
        console.print(f"verified: every value read back; worst tensor {worst.name} at {worst.snr_db:.1f} dB")


@contextmanager
def _bar(label: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with rate and time left; nothing when quiet or where nobody looks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=quiet or not errors.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C or SIGTERM asks for an orderly end; a second one is not waited for."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _reported() -> Iterator[None]:
    """Errors as one line, not as a trace."""
    try:
        yield
    except Cancelled as error:
        errors.print(f"[red]{error.message}; nothing was written[/]")
        sys.exit(_INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except InvalidInput as error:
        for problem in error.problems:
            errors.print(f"[red]error:[/] {problem.message}", markup=True)
        sys.exit(2)
    except SdrestError as error:
        errors.print(f"[red]error:[/] {error.message}")
        sys.exit(1)


if __name__ == "__main__":
    main()
