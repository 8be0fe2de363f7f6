"""Conversion in a process of its own, for servers: what ggml might abort on, and the processor time, stay outside.

The child (``python -m sdrest.conversion.process``) takes one JSON request on its standard input and answers with JSON
lines on its standard output: ``{"progress": [bytes, bytes in all, tensors, tensors in all, tensor]}``, then ``{"done":
{…}}`` or ``{"error": {"slug", "message", "details"}}``. It stops, leaving nothing behind, on SIGTERM and when its
parent is gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from sdrest.conversion.plan import Conversion, make_plan
from sdrest.conversion.progress import Converted, Progress
from sdrest.conversion.rules import TypeRule
from sdrest.core.errors import Cancelled, SdrestError, Unavailable
from sdrest.core.files import remove_unfinished
from sdrest.core.tensor_types import TensorType

_NICE = 5
_GRACE_SECONDS = 10.0


class ConversionRefused(SdrestError):
    """The conversion could not be carried out; ``slug`` is that of the original error."""

    def __init__(self, slug: str, message: str, details: dict[str, object]) -> None:
        super().__init__(message, **details)
        self.slug = slug


def convert_in_process(
    request: Conversion,
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Converted:
    """As :func:`make_plan` and :func:`sdrest.conversion.run.convert`, in a child process; blocks until it ends.

    ``cancelled`` is asked ten times a second. Raises :class:`Cancelled`, :class:`ConversionRefused`, or
    :class:`Unavailable` when the child died.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "sdrest.conversion.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    stopped = threading.Event()
    watcher = threading.Thread(target=_watch, args=(child, cancelled, stopped), daemon=True)
    watcher.start()
    outcome: dict[str, Any] = {}
    try:
        with child.stdin:
            child.stdin.write(json.dumps(_to_json(request, threads)))
        for line in child.stdout:
            message = json.loads(line)
            if "progress" in message:
                progress(Progress(*message["progress"]))
            else:
                outcome = message
    finally:
        stopped.set()
        _end(child)
        child.stdout.close()
        watcher.join()
        remove_unfinished(request.target)  # what a killed child could not remove itself
    return _result(outcome, child.returncode, cancelled)


def _result(outcome: dict[str, Any], code: int, cancelled: Callable[[], bool]) -> Converted:
    if "done" in outcome:
        done = outcome["done"]
        return Converted(Path(done["path"]), done["nbytes"], done["source_bytes"], done["tensors"], done["seconds"])
    error = outcome.get("error")
    if cancelled() or (error and error["slug"] == Cancelled.slug):
        raise Cancelled("the conversion was stopped")
    if error:
        raise ConversionRefused(error["slug"], error["message"], error["details"])
    raise Unavailable(f"the conversion's process ended without a result (exit status {code})")


def _watch(child: subprocess.Popen[str], cancelled: Callable[[], bool], stopped: threading.Event) -> None:
    while not stopped.wait(0.1):
        if cancelled():
            child.terminate()
            return


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        try:
            child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _to_json(request: Conversion, threads: int | None) -> dict[str, object]:
    return {
        "source": str(request.source),
        "target": str(request.target),
        "type": request.type,
        "vae": str(request.vae) if request.vae else None,
        "rules": [[rule.pattern, rule.type] for rule in request.rules],
        "convert_names": request.convert_names,
        "search": request.search,
        "overwrite": request.overwrite,
        "threads": threads,
    }


def _from_json(data: dict[str, Any]) -> Conversion:
    return Conversion(
        source=Path(data["source"]),
        target=Path(data["target"]),
        type=TensorType(data["type"]) if data["type"] else None,
        vae=Path(data["vae"]) if data["vae"] else None,
        rules=tuple(TypeRule(pattern, TensorType(kind)) for pattern, kind in data["rules"]),
        convert_names=data["convert_names"],
        search=data["search"],
        overwrite=data["overwrite"],
    )


def _say(stream: IO[str], **message: object) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def main() -> None:
    """The child's whole life."""
    from sdrest.conversion.run import convert  # noqa: PLC0415 - the parent has no use for what it brings along

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    parent = os.getppid()
    data = json.load(sys.stdin)
    request = _from_json(data)

    def report(step: Progress) -> None:
        values = (step.done_bytes, step.total_bytes, step.done_tensors, step.total_tensors, step.tensor)
        _say(sys.stdout, progress=values)

    try:
        plan = make_plan(request)
        done = convert(
            plan,
            threads=data["threads"],
            progress=report,
            cancelled=lambda: stop.is_set() or os.getppid() != parent,
        )
    except SdrestError as error:
        _say(sys.stdout, error={"slug": error.slug, "message": error.message, "details": error.details})
        sys.exit(1)
    _say(
        sys.stdout,
        done={
            "path": str(done.path),
            "nbytes": done.nbytes,
            "source_bytes": done.source_bytes,
            "tensors": done.tensors,
            "seconds": done.seconds,
        },
    )


if __name__ == "__main__":
    main()
