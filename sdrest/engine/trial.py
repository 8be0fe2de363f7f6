"""Loading a model for trial: in a child of its own that is gone afterwards, whatever the library did to it.

The child is the same program as the engine's, but nobody else talks to it: the engine that serves, its loaded models and
the queue do not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from sdrest.core.errors import InsufficientMemory, ModelUnusable, SdrestError, Unavailable
from sdrest.engine import messages
from sdrest.engine.process import ChildProcess

_TASK: Final = "trial"
_WATCH_SECONDS: Final = 0.1
_NICE: Final = 10
#: Among all processes, the kernel takes a trial first when memory runs out.
_OOM_SCORE_ADJUSTMENT: Final = "1000"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A trial that went well: the time that loading took, and the most memory the process had meanwhile."""

    seconds: float
    peak_bytes: int


async def try_loading(
    context: messages.ContextSpec,
    *,
    timeout_seconds: float,
    memory_bytes: int,
    environment: Mapping[str, str] | None = None,
    heard: Callable[[messages.Report], None] = lambda _report: None,
) -> Loaded:
    """Load ``context`` in a process of its own.

    Args:
        context: The files, as the engine would get them.
        timeout_seconds: Longest time for all of it.
        memory_bytes: Resident memory at which the process is killed.
        environment: Variables for the process.
        heard: Called with each of the process's reports.

    Raises:
        ModelUnusable: the library refused it, or its process ended or took too long; ``log_tail`` holds the last words.
        InsufficientMemory: it took more memory than it may.
        Unavailable: no process with the library could be started.
    """
    try:
        child = await ChildProcess.launch(environment=environment)
    except OSError as error:
        raise Unavailable(f"cannot start a process: {error}") from error
    watch = _Watch(child, memory_bytes)
    watcher = asyncio.create_task(watch.run(), name="load-trial-watch")
    done: messages.Report | None = None
    ending = ""
    in_time = True
    was_ready = False

    def noticed(report: messages.Report) -> None:
        nonlocal was_ready
        was_ready = was_ready or isinstance(report, messages.Ready)
        heard(report)

    try:
        async with asyncio.timeout(timeout_seconds):
            done = await _talk(child, context, noticed)
    except TimeoutError:
        in_time = False
    finally:
        child.kill()
        ending = await child.wait()
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
    if isinstance(done, messages.Done):
        return Loaded(done.load_seconds, max(watch.peak_bytes, done.result.get("memory_after_bytes", 0)))
    words = tuple(child.last_words)
    if watch.is_over:
        raise InsufficientMemory(
            f"loading it took more than the {memory_bytes >> 20} MiB that it may have", budget_bytes=memory_bytes
        )
    said = f": {words[-1]}" if words else ""
    reason: SdrestError
    if not in_time:
        reason = ModelUnusable(f"the library had not loaded it after {timeout_seconds:.0f} s")
    elif isinstance(done, messages.Failed):
        reason = ModelUnusable(f"the library cannot load it: {done.message}")
        words = done.log_tail or words
    elif not was_ready:
        reason = Unavailable(f"the process that was to load it did not start ({ending}){said}")
    else:
        reason = ModelUnusable(f"the library ended its process while it loaded this ({ending}){said}")
    reason.log_tail = words
    raise reason


async def _talk(
    child: ChildProcess, context: messages.ContextSpec, heard: Callable[[messages.Report], None]
) -> messages.Report | None:
    """The child's last word on the task, or None when it ended without one."""
    while (report := await child.read()) is not None:
        heard(report)
        match report:
            case messages.Ready():
                _make_humble(child.pid)
                await child.send(messages.Load(task=_TASK, context=context))
            case messages.Done() | messages.Failed():
                return report
            case _:
                pass
    return None


def _make_humble(pid: int) -> None:
    """Let the serving engine go first, at the processor and when memory runs out."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICE)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(_OOM_SCORE_ADJUSTMENT, encoding="ascii")


class _Watch:
    """Follows the memory of a child, and kills it when it takes too much."""

    def __init__(self, child: ChildProcess, limit_bytes: int) -> None:
        self._child = child
        self._limit_bytes = limit_bytes
        self.peak_bytes = 0
        self.is_over = False

    async def run(self) -> None:
        """Look until the child is gone."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._child.pid)
            while self._child.is_alive:
                self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)
                if self.peak_bytes > self._limit_bytes:
                    self.is_over = True
                    self._child.kill()
                    return
                await asyncio.sleep(_WATCH_SECONDS)
