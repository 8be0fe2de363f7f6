"""The native thread of the child: takes tasks one after another and makes the C calls."""

from __future__ import annotations

import time
import traceback
from collections import deque
from typing import Final

import msgspec

from sdrest.core.errors import DISK_FULL
from sdrest.engine import messages
from sdrest.engine.child import binding
from sdrest.engine.child.contexts import Contexts, OutOfBudget, memory_bytes, trim
from sdrest.engine.child.painting import Painter, Send
from sdrest.engine.child.patience import Patience
from sdrest.engine.child.phases import Phases
from sdrest.engine.child.turns import Turns
from sdrest.engine.child.upscaling import Upscalers

_LAST_WORDS_LINES: Final = 30
_LEAST_REPORT_SECONDS: Final = 0.05
#: The native library reports debug lines with the prompt in them: they stay in the child.
_FORWARDED_LEVELS: Final = frozenset({"info", "warning", "error"})


class Runner:
    """Runs tasks on the calling thread; what :attr:`turns` offers, and :meth:`preview`, may be called from another."""

    def __init__(self, library: binding.NativeLibrary, send: Send) -> None:
        self._library = library
        self._send = send
        #: Where tasks and single pictures are ended.
        self.turns = Turns(library)
        self._words: deque[str] = deque(maxlen=_LAST_WORDS_LINES)
        self._phases = Phases(self._progressed)
        self._contexts = Contexts(library, self._phases, send)
        self._upscalers = Upscalers(library)
        self._painter = Painter(library, self._contexts, self._upscalers, self._phases, self.turns, send)
        self._patience = Patience.of_this_process()
        #: Phase and picture of the last report of progress, and when it was sent.
        self._told = ("", 0)
        self._told_at = 0.0
        library.on_log(self._log_line)
        library.on_progress(self._progress)

    # ------------------------------------------------------------------ called by the main thread

    def preview(self, task: str) -> None:
        """Send previews of ``task`` from now on, if it is running."""
        if self.turns.current == task:
            self._painter.preview()

    @property
    def loaded(self) -> tuple[str, ...]:
        """Main files of the loaded models."""
        return self._contexts.loaded

    # ------------------------------------------------------------------ the native thread

    def run(self, task: messages.Task) -> None:
        """Run one task and report its ending, whatever it is. What it raises all the same cannot be reported."""
        self._words.clear()
        self._phases.picture(0, 0)
        if self._patience is not None:
            self._patience.begin(_threads_of(task) or self._library.physical_cores)
        started_at = time.monotonic()
        try:
            self.turns.start(task.task)
            done = self._dispatch(task)
        except binding.Cancelled:
            self._failed(task, "cancelled", "cancelled")
        except binding.NativeError as error:
            if error.spoils_context and not isinstance(task, messages.Unload | messages.Upscale):
                self._contexts.discard(task.context)
            self._failed(task, _slug(self._phases.phase), str(error))
        except OutOfBudget as error:
            self._failed(task, "insufficient_memory", str(error), compute_bytes=error.compute_bytes)
        except MemoryError:
            self._failed(task, "insufficient_memory", "the machine has not enough memory for this")
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                self._failed(task, "insufficient_storage", "the disk is full: there is no room for the job's files")
            else:
                self._failed(task, "generation_failed", str(error))
        except Exception as error:  # noqa: BLE001 - the task must end, whatever was wrong with it
            traceback.print_exc()
            if isinstance(task, messages.Generate | messages.GenerateVideo):
                self._contexts.discard(task.context)  # nobody knows in what state it was left
            self._failed(task, "generation_failed", f"internal error: {type(error).__name__}: {error}")
        else:
            self._send(msgspec.structs.replace(done, seconds=time.monotonic() - started_at))
        finally:
            self.turns.finish(task.task)
            if self._patience is not None:
                self._patience.end()

    def _dispatch(self, task: messages.Task) -> messages.Done:
        match task:
            case messages.Generate():
                return self._painter.paint(task)
            case messages.Upscale():
                return self._painter.upscale(task)
            case messages.Load():
                return self._load(task)
            case messages.Unload():
                return self._unload(task)

    def _load(self, task: messages.Load) -> messages.Done:
        before = memory_bytes()
        context, seconds = self._contexts.get(task.context, task.demand)
        measured = [self._painter.compute_bytes(context, parameters) for parameters in task.measured]
        return messages.Done(
            task=task.task,
            seconds=0,
            load_seconds=seconds,
            result={
                "weights_bytes": self._contexts.weights_bytes(task.context),
                "memory_before_bytes": before,
                "memory_after_bytes": memory_bytes(),
                **{f"compute_bytes_{index}": compute for index, compute in enumerate(measured)},
            },
        )

    def _unload(self, task: messages.Unload) -> messages.Done:
        before = memory_bytes()
        number = self._contexts.close(task.path)
        if not task.path:
            self._upscalers.close()
            trim()
        return messages.Done(
            task=task.task,
            seconds=0,
            result={"unloaded": number, "memory_before_bytes": before, "memory_after_bytes": memory_bytes()},
        )

    def _progress(self, step: int, steps: int, _seconds: float) -> None:
        if self._patience is not None:
            self._patience.go_on()
        self._phases.progress(step, steps)

    def _progressed(self, phase: str, step: int, steps: int, image: int, images: int) -> None:
        """Report a phase's begin and end, and what lies between so often that it moves before somebody's eyes.

        Each report has the parent work, on a processor that the library may need for its next step.
        """
        now, where = time.monotonic(), (phase, image)
        if where == self._told and 0 < step < steps and now - self._told_at < _LEAST_REPORT_SECONDS:
            return
        self._told, self._told_at = where, now
        self._send(
            messages.Progressed(
                task=self.turns.current, phase=phase, step=step, steps=steps, image=image, images=images
            )
        )

    def _failed(self, task: messages.Task, slug: str, message: str, **details: int) -> None:
        self._send(
            messages.Failed(task=task.task, slug=slug, message=message, log_tail=tuple(self._words), details=details)
        )

    def _log_line(self, level: str, text: str) -> None:
        line = text.strip()
        if level in _FORWARDED_LEVELS:
            self._words.append(f"[{level}] {line}")
            self._send(messages.LogLine(level=level, text=line))
        self._phases.log_line(line)


def _threads_of(task: messages.Task) -> int:
    """How many threads of the library a task asks for; 0: as many as the library thinks best."""
    match task:
        case messages.Upscale(threads=threads):
            return threads
        case messages.Unload():
            return 0
        case _:
            return int(dict(task.context.options).get("threads", 0))


def _slug(phase: str) -> str:
    """A failure while loading is the model's, later ones are the generation's."""
    return "model_unusable" if phase == "load" else "generation_failed"
