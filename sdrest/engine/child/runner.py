"""The native thread of the child: takes tasks one after another and makes the C calls."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from sdrest.engine import messages
from sdrest.engine.child import binding
from sdrest.engine.child.contexts import Contexts
from sdrest.engine.child.phases import Phases
from sdrest.engine.child.translate import image_params, load_pictures

_LAST_WORDS_LINES: Final = 30
#: The native library reports debug lines with the prompt in them: they stay in the child.
_FORWARDED_LEVELS: Final = frozenset({"info", "warning", "error"})

Send = Callable[[messages.Report], None]


class Runner:
    """Runs tasks on the calling thread; :meth:`cancel` may be called from another."""

    def __init__(self, library: binding.NativeLibrary, send: Send) -> None:
        self._library = library
        self._send = send
        self._contexts = Contexts(library, send)
        self._lock = threading.Lock()
        self._current = ""
        self._cancelled: set[str] = set()
        self._words: deque[str] = deque(maxlen=_LAST_WORDS_LINES)
        self._phases = Phases(lambda *_: None)
        self._image = (0, 0)
        library.on_log(self._log_line)
        library.on_progress(lambda step, steps, _seconds: self._phases.progress(step, steps))

    # ------------------------------------------------------------------ called by the main thread

    def cancel(self, task: str) -> None:
        """End ``task`` softly, now if it is running, else when its turn comes."""
        with self._lock:
            self._cancelled.add(task)
            if self._current == task:
                self._library.cancel()

    @property
    def loaded(self) -> tuple[str, ...]:
        """Main files of the loaded models."""
        return self._contexts.loaded

    # ------------------------------------------------------------------ the native thread

    def run(self, task: messages.Task) -> None:
        """Run one task and report its ending, whatever it is."""
        self._words.clear()
        self._image = (0, 0)
        self._phases = Phases(lambda phase, step, steps: self._progressed(task.task, phase, step, steps))
        started_at = time.monotonic()
        try:
            with self._lock:
                if task.task in self._cancelled:
                    raise binding.Cancelled("cancelled before it began")
                self._library.arm()
                self._current = task.task
            done = self._dispatch(task)
        except binding.Cancelled:
            self._failed(task, "cancelled", "cancelled")
        except binding.NativeError as error:
            if error.spoils_context and not isinstance(task, messages.Unload | messages.Upscale):
                self._contexts.discard(task.context)
            self._failed(task, _slug(self._phases.phase), str(error))
        except MemoryError:
            self._failed(task, "insufficient_memory", "the machine has not enough memory for this")
        except (OSError, ValueError) as error:
            self._failed(task, "generation_failed", str(error))
        else:
            self._send(msgspec.structs.replace(done, seconds=time.monotonic() - started_at))
        finally:
            with self._lock:
                self._current = ""
                self._cancelled.discard(task.task)

    def _dispatch(self, task: messages.Task) -> messages.Done:
        match task:
            case messages.Generate():
                return self._generate(task)
            case messages.Load():
                self._phases.enter("load")
                _, seconds = self._contexts.get(task.context)
                return messages.Done(task=task.task, seconds=0, load_seconds=seconds)
            case messages.Unload():
                return messages.Done(task=task.task, seconds=0, result={"unloaded": self._contexts.close(task.path)})
            case _:
                raise ValueError(f"{type(task).__name__} is not known to this engine")

    def _generate(self, task: messages.Generate) -> messages.Done:
        self._phases.enter("load")
        context, load_seconds = self._contexts.get(task.context)
        pictures = load_pictures(task.pictures)
        for index, seed in enumerate(task.seeds):
            self._image = (index + 1, len(task.seeds))
            self._phases.enter("encode")
            params = image_params(
                task.parameters, seed=seed, pictures=pictures, loras=task.loras, hires_model=task.hires_model
            )
            (picture,) = context.generate_image(params)
            self._deliver(task.task, Path(task.folder), index, seed, picture)
        return messages.Done(
            task=task.task,
            seconds=0,
            load_seconds=load_seconds,
            sampler=task.parameters.sampler,
            scheduler=task.parameters.scheduler,
        )

    def _deliver(self, task: str, folder: Path, index: int, seed: int, picture: binding.Picture) -> None:
        """Lay a finished picture down for the parent; whole before it is announced."""
        height, width, channels = picture.shape
        path = folder / f"{index}.rgb"
        picture.tofile(path)
        self._send(
            messages.PictureMade(
                task=task, index=index, path=str(path), width=width, height=height, channels=channels, seed=seed
            )
        )

    def _progressed(self, task: str, phase: str, step: int, steps: int) -> None:
        image, images = self._image
        self._send(messages.Progressed(task=task, phase=phase, step=step, steps=steps, image=image, images=images))

    def _failed(self, task: messages.Task, slug: str, message: str) -> None:
        self._send(messages.Failed(task=task.task, slug=slug, message=message, log_tail=tuple(self._words)))

    def _log_line(self, level: str, text: str) -> None:
        line = text.strip()
        if level in _FORWARDED_LEVELS:
            self._words.append(f"[{level}] {line}")
            self._send(messages.LogLine(level=level, text=line))
        self._phases.log_line(line)


def _slug(phase: str) -> str:
    """A failure while loading is the model's, later ones are the generation's."""
    return "model_unusable" if phase == "load" else "generation_failed"
