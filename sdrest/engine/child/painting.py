"""Making pictures and videos: what happens between a task and its files, on the native thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from sdrest.core.names import PreviewMode
from sdrest.core.parameters import GenerationParameters, VideoParameters
from sdrest.engine import messages
from sdrest.engine.child import binding
from sdrest.engine.child.contexts import Contexts
from sdrest.engine.child.phases import Phases
from sdrest.engine.child.turns import Turns
from sdrest.engine.child.upscaling import Upscalers

#: Least time between two previews that are sent; what comes between is dropped.
_PREVIEW_PAUSE_SECONDS: Final = 0.25
#: Tile of the upscaling step, in pixels: the library's own.
_UPSCALE_TILE_PX: Final = 128

Send = Callable[[messages.Report], None]


class Painter:
    """Carries out the tasks that make pictures."""

    def __init__(
        self,
        library: binding.NativeLibrary,
        contexts: Contexts,
        upscalers: Upscalers,
        phases: Phases,
        turns: Turns,
        send: Send,
    ) -> None:
        self._library = library
        self._contexts = contexts
        self._upscalers = upscalers
        self._phases = phases
        self._turns = turns
        self._send = send

    def paint(self, task: messages.Generate) -> messages.Done:
        """Make the pictures of a task one after another, or the frames of its video."""
        context, load_seconds = self._contexts.get(task.context, task.demand)
        parameters, inputs = task.parameters, self._inputs(task)
        compute = task.demand.compute or self.compute_bytes(context, parameters, inputs)
        self._contexts.make_room(msgspec.structs.replace(task.demand, compute=compute), task.context)
        skipped = 0
        with self._previews(task):
            if isinstance(task, messages.GenerateVideo):
                self._video(context, task, inputs)
            else:
                skipped = self._pictures(context, task, inputs)
        return messages.Done(
            task=task.task,
            seconds=0,
            load_seconds=load_seconds,
            sampler=parameters.sampler,
            scheduler=parameters.scheduler,
            result={
                "weights_bytes": self._contexts.weights_bytes(task.context),
                "compute_bytes": compute,
                "skipped": skipped,
            },
        )

    def preview(self) -> None:
        """Send previews of what is being painted from now on. May be called from another thread."""
        self._library.show_previews(True)

    def upscale(self, task: messages.Upscale) -> messages.Done:
        """Enlarge one picture."""
        self._phases.picture(1, 1)
        self._phases.enter("upscale")
        larger = self._upscalers.enlarge(
            np.load(task.picture), task.factor, model=task.model, threads=task.threads, tile_size=task.tile_size
        )
        self._deliver(task, 0, -1, larger)
        return messages.Done(task=task.task, seconds=0)

    def _pictures(self, context: binding.Context, task: messages.Generate, inputs: binding.Inputs) -> int:
        """Make all pictures but those that are skipped, whose number is returned.

        Raises:
            Cancelled: the task is to end, or every picture was skipped.
        """
        count, skipped = task.parameters.batch_count, 0
        for index in range(count):
            picture = self._picture(context, task, inputs, index) if self._turns.begin(index + 1) else None
            if picture is None:
                skipped += 1
            else:
                self._deliver(task, index, task.parameters.seed + index, picture)
        if skipped == count:
            raise binding.Cancelled("every picture was skipped")
        return skipped

    def _picture(
        self, context: binding.Context, task: messages.Generate, inputs: binding.Inputs, index: int
    ) -> binding.Picture | None:
        """One picture; None when it was skipped while it was made."""
        parameters = task.parameters
        self._phases.picture(index + 1, parameters.batch_count)
        self._phases.enter("encode")
        try:
            one = replace(parameters, seed=parameters.seed + index, batch_count=1)
            (picture,) = context.generate(one, inputs)
            if task.upscale_model:
                self._phases.enter("upscale")
                picture = self._upscalers.enlarge(
                    picture,
                    parameters.upscale_factor,
                    model=task.upscale_model,
                    threads=int(dict(task.context.options).get("threads", 0)),
                    tile_size=_UPSCALE_TILE_PX,
                )
        except binding.Cancelled:
            if not self._turns.end():
                raise
            return None
        self._turns.end()
        return picture

    def _video(self, context: binding.Context, task: messages.GenerateVideo, inputs: binding.Inputs) -> None:
        parameters = task.parameters
        has_two = "high_noise_diffusion_model" in dict(task.context.files)
        self._phases.picture(1, 1, total_steps=_steps_of_both(parameters) if has_two else 0)
        self._phases.enter("encode")
        frames = context.generate(parameters, inputs)
        self._phases.enter("save")
        for index, frame in enumerate(frames):
            self._deliver(task, index, parameters.seed, frame)

    def _inputs(self, task: messages.Generate) -> binding.Inputs:
        """What the parent has laid down for the task."""
        pictures = {name: [np.load(path) for path in paths] for name, paths in task.pictures.items()}
        if task.parameters.canny and "control_image" in pictures:
            pictures["control_image"] = [self._library.canny(picture) for picture in pictures["control_image"]]
        hires_model = Path(task.hires_model) if task.hires_model else None
        return binding.Inputs(pictures=pictures, loras=task.loras, hires_model=hires_model)

    def compute_bytes(
        self, context: binding.Context, parameters: GenerationParameters, inputs: binding.Inputs = binding.NO_INPUTS
    ) -> int:
        """Bytes of the largest compute buffer of a generation, by a dry run; 0 where that is not possible.

        LoRAs are left out: they change no buffer of note, and merging them is work that a dry run does not spare.
        """
        if not self._library.soft_cancel_available or parameters.pm_id_images:
            return 0
        self._phases.muted = True
        try:
            with self._library.dry_run() as report:
                context.generate(replace(parameters, seed=0, batch_count=1), binding.Inputs(pictures=inputs.pictures))
        finally:
            self._phases.muted = False
        return report.largest_compute_bytes

    @contextmanager
    def _previews(self, task: messages.Generate) -> Iterator[None]:
        """Send previews in the block: from its begin if the task asks for them, else from when somebody does."""
        sent_at = 0.0

        def send(step: int, frames: list[binding.Picture], _is_noisy: bool) -> None:
            nonlocal sent_at
            now = time.monotonic()
            if now - sent_at < _PREVIEW_PAUSE_SECONDS or not frames:
                return
            sent_at = now
            frame = frames[len(frames) // 2]
            height, width = frame.shape[:2]
            self._send(messages.Previewed(task=task.task, step=step, width=width, height=height, rgb=frame.tobytes()))

        asked = task.parameters.preview is not PreviewMode.NONE
        self._library.on_preview(send, task.parameters.preview if asked else PreviewMode.PROJ, denoised=asked)
        try:
            yield
        finally:
            self._library.on_preview(None)

    def _deliver(
        self, task: messages.Generate | messages.Upscale, index: int, seed: int, picture: binding.Picture
    ) -> None:
        """Lay a finished picture down for the parent; whole before it is announced."""
        height, width, channels = picture.shape
        path = Path(task.folder) / f"{index}.rgb"
        path.write_bytes(np.ascontiguousarray(picture).data)  # not tofile: what that raises does not tell a full disk
        self._send(
            messages.PictureMade(
                task=task.task, index=index, path=str(path), width=width, height=height, channels=channels, seed=seed
            )
        )


def _steps_of_both(parameters: VideoParameters) -> int:
    """Sampling steps of a two-model video together (``SamplePlan::resolve``): those of the high-noise model come on top when
    they are given, and are a part of the others when the noise level decides.
    """
    if parameters.custom_sigmas:
        return len(parameters.custom_sigmas) - 1
    return parameters.steps + max(0, parameters.high_noise.steps)
