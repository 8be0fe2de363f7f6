"""Making pictures and videos: what happens between a task and its files, on the native thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from sdrest.core.names import PreviewMode
from sdrest.engine import messages
from sdrest.engine.child import binding
from sdrest.engine.child.contexts import Contexts
from sdrest.engine.child.phases import Phases
from sdrest.engine.child.translate import Pictures, image_params, load_pictures, steps_of_both, video_params
from sdrest.engine.child.upscaling import Upscalers

#: Least time between two previews that are sent; what comes between is dropped.
_PREVIEW_PAUSE_SECONDS: Final = 0.25
#: Tile of the upscaling step, in pixels: the library's own.
_UPSCALE_TILE_PX: Final = 128

Send = Callable[[messages.Report], None]


class Painter:
    """Carries out the tasks that make pictures."""

    def __init__(
        self, library: binding.NativeLibrary, contexts: Contexts, upscalers: Upscalers, phases: Phases, send: Send
    ) -> None:
        self._library = library
        self._contexts = contexts
        self._upscalers = upscalers
        self._phases = phases
        self._send = send

    def image(self, task: messages.Generate) -> messages.Done:
        """Make the pictures of a task, one after another."""
        context, load_seconds = self._context(task)
        pictures = self._pictures(task.pictures, canny=task.parameters.canny)
        compute = task.demand.compute or self._image_buffers(context, task, pictures)
        self._contexts.make_room(_with_compute(task.demand, compute), task.context)
        options = dict(task.context.options)
        self._preview(task.task, task.parameters.preview)
        try:
            for index, seed in enumerate(task.seeds):
                self._phases.picture(index + 1, len(task.seeds))
                self._phases.enter("encode")
                params = image_params(
                    task.parameters, seed=seed, pictures=pictures, loras=task.loras, hires_model=task.hires_model
                )
                (picture,) = context.generate_image(params)
                if task.upscale_model:
                    self._phases.enter("upscale")
                    picture = self._upscalers.enlarge(
                        picture,
                        task.parameters.upscale_factor,
                        model=task.upscale_model,
                        threads=int(options.get("threads", 0)),
                        tile_size=_UPSCALE_TILE_PX,
                    )
                self._deliver(task.task, Path(task.folder), index, seed, picture)
        finally:
            self._library.on_preview(None)
        return messages.Done(
            task=task.task,
            seconds=0,
            load_seconds=load_seconds,
            sampler=task.parameters.sampler,
            scheduler=task.parameters.scheduler,
            result={"weights_bytes": self._contexts.weights_bytes(task.context), "compute_bytes": compute},
        )

    def video(self, task: messages.GenerateVideo) -> messages.Done:
        """Make the frames of a video."""
        context, load_seconds = self._context(task)
        if not context.supports_video:
            raise binding.NativeError("this model makes pictures, not videos")
        pictures = self._pictures(task.pictures)
        compute = task.demand.compute or self._buffers(
            lambda: context.generate_video(video_params(task.parameters, pictures=pictures))
        )
        self._contexts.make_room(_with_compute(task.demand, compute), task.context)
        params = video_params(task.parameters, pictures=pictures, loras=task.loras)
        has_two = any(field == "high_noise_diffusion_model" for field, _ in task.context.files)
        self._phases.picture(1, 1, total_steps=steps_of_both(task.parameters) if has_two else 0)
        self._phases.enter("encode")
        self._preview(task.task, task.parameters.preview)
        try:
            frames = context.generate_video(params)
        finally:
            self._library.on_preview(None)
        self._phases.enter("save")
        for index, frame in enumerate(frames):
            self._deliver(task.task, Path(task.folder), index, task.parameters.seed, frame)
        return messages.Done(
            task=task.task,
            seconds=0,
            load_seconds=load_seconds,
            sampler=task.parameters.sampler,
            scheduler=task.parameters.scheduler,
            result={"weights_bytes": self._contexts.weights_bytes(task.context), "compute_bytes": compute},
        )

    def upscale(self, task: messages.Upscale) -> messages.Done:
        """Enlarge one picture."""
        self._phases.picture(1, 1)
        self._phases.enter("upscale")
        larger = self._upscalers.enlarge(
            np.load(task.picture), task.factor, model=task.model, threads=task.threads, tile_size=task.tile_size
        )
        self._deliver(task.task, Path(task.folder), 0, -1, larger)
        return messages.Done(task=task.task, seconds=0)

    def _context(self, task: messages.Generate | messages.GenerateVideo) -> tuple[binding.Context, float]:
        if not self._contexts.holds(task.context):
            self._phases.enter("load")
        return self._contexts.get(task.context, task.demand)

    def _image_buffers(self, context: binding.Context, task: messages.Generate, pictures: Pictures) -> int:
        if not context.supports_image or task.parameters.pm_id_images:
            return 0
        return self._buffers(lambda: context.generate_image(image_params(task.parameters, seed=0, pictures=pictures)))

    def _buffers(self, generate: Callable[[], object]) -> int:
        """Bytes of the largest compute buffer of a generation, by a dry run; 0 where that is not possible.

        LoRAs are to be left out: they change no buffer of note, and merging them is work that a dry run does not spare.
        """
        if not self._library.soft_cancel_available:
            return 0
        self._phases.muted = True
        try:
            with self._library.dry_run() as report:
                generate()
        finally:
            self._phases.muted = False
        return report.largest_compute_bytes

    def _pictures(self, files: dict[str, tuple[str, ...]], *, canny: bool = False) -> Pictures:
        found = load_pictures(files)
        if canny and "control_image" in found:
            found["control_image"] = [self._library.canny(picture) for picture in found["control_image"]]
        return found

    def _preview(self, task: str, mode: PreviewMode) -> None:
        sent_at = 0.0

        def send(step: int, frames: list[binding.Picture], _is_noisy: bool) -> None:
            nonlocal sent_at
            now = time.monotonic()
            if now - sent_at < _PREVIEW_PAUSE_SECONDS or not frames:
                return
            sent_at = now
            frame = frames[len(frames) // 2]
            height, width = frame.shape[:2]
            self._send(messages.Previewed(task=task, step=step, width=width, height=height, rgb=frame.tobytes()))

        if mode is not PreviewMode.NONE:
            self._library.on_preview(send, mode)

    def _deliver(self, task: str, folder: Path, index: int, seed: int, picture: binding.Picture) -> None:
        """Lay a finished picture down for the parent; whole before it is announced."""
        height, width, channels = picture.shape
        path = folder / f"{index}.rgb"
        path.write_bytes(np.ascontiguousarray(picture).data)  # not tofile: what that raises does not tell a full disk
        self._send(
            messages.PictureMade(
                task=task, index=index, path=str(path), width=width, height=height, channels=channels, seed=seed
            )
        )


def _with_compute(demand: messages.Demand, compute: int) -> messages.Demand:
    return messages.Demand(budget=demand.budget, weights=demand.weights, compute=compute)
