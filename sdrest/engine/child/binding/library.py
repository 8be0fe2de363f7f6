"""The loaded native library: the way in to everything else here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sdrest.engine.child.binding import devices, images
from sdrest.engine.child.binding.abi import PACKAGE
from sdrest.engine.child.binding.context import Context
from sdrest.engine.child.binding.errors import NativeError
from sdrest.engine.child.binding.foreign import CANCEL_GRAPH, Foreign
from sdrest.engine.child.binding.logs import BufferReport
from sdrest.engine.child.binding.names import Names, number_of
from sdrest.engine.child.binding.parameters import ContextParams, Picture
from sdrest.engine.child.binding.session import LogFunction, PreviewFunction, ProgressFunction, Session
from sdrest.engine.child.binding.upscaler import Upscaler
from sdrest.engine.messages import DeviceInfo


class NativeLibrary:
    """libstable-diffusion behind the shim. One per process: its callbacks, and so its calls, are global.

    Callbacks run on the thread of the native call, log messages also on loader threads. What they raise ends the call
    and comes out of it. Set the environment of :mod:`sdrest.engine.child.environment` before the first load.
    """

    def __init__(self, foreign: Foreign) -> None:
        self._foreign = foreign
        self.names = Names(foreign.abi)
        self._session = Session(foreign, self.names)

    @classmethod
    def load(cls, *, shim: Path | None = None, interpose: bool = True) -> NativeLibrary:
        """Load the shim (``shim``, or the first place that has one) and the library. Raises NativeError.

        ``interpose`` False gives up ``soft_cancel_available``, as on platforms that do not have it.
        """
        return cls(Foreign(shim, interpose=interpose))

    @property
    def version(self) -> str:
        """``sd_version()``, or the Python package's version when the library was built without one."""
        own: str = self._foreign.sd.sd_version().decode()
        return own if own != "unknown" else self._foreign.abi.version

    @property
    def commit(self) -> str:
        """``sd_commit()``; of a library built outside its repository, the package's name and the commit of its sources."""
        own = str(self._foreign.sd.sd_commit().decode())
        if own != "unknown" or not self._is_of_the_package:
            return own
        return f"{PACKAGE}@{self._foreign.abi.commit[:12]}"

    @property
    def path(self) -> Path:
        """The library's file."""
        return Path(self._foreign.lib._name)

    @property
    def _is_of_the_package(self) -> bool:
        """Whether it is the library that the Python package was installed with, not one that the user chose."""
        return self.path.resolve().is_relative_to(Path(str(self._foreign.sd.__file__)).resolve().parent)

    @property
    def system_info(self) -> str:
        """The instruction sets that the library was built for, as ``NAME = 1 | …`` on one line."""
        return " ".join(self._foreign.sd.sd_get_system_info().decode().replace("System Info:", "").split()).strip(" |")

    @property
    def physical_cores(self) -> int:
        """Cores as the library counts them; its default number of threads."""
        return int(self._foreign.sd.sd_get_num_physical_cores())

    @property
    def soft_cancel_available(self) -> bool:
        """Whether :meth:`cancel` acts inside a step, and dry runs work. Otherwise it acts after a step or tile."""
        return self._foreign.cancel_mode == CANCEL_GRAPH

    @property
    def graphs_computed(self) -> int:
        """Graphs computed to their end since the library was loaded."""
        return int(self._foreign.shim.sdrest_shim_graphs_computed())

    def devices(self) -> list[DeviceInfo]:
        """What the library can compute on."""
        return devices.registered(self._foreign)

    def on_progress(self, function: ProgressFunction | None) -> None:
        """Call ``function(step, steps, seconds)`` while sampling (seconds a step), processing tiles and loading
        tensors.
        """
        self._session.set_progress(function)

    def on_log(self, function: LogFunction | None) -> None:
        """Call ``function(level, text)`` with each message; level is debug, info, warning or error. Debug messages hold
        prompts.
        """
        self._session.set_log(function)

    def on_preview(
        self,
        function: PreviewFunction | None,
        mode: str = "proj",
        interval: int = 1,
        denoised: bool = True,
        noisy: bool = False,
    ) -> None:
        """Call ``function(step, frames, is_noisy)`` while sampling; frames are copies of shape (height, width, 3).

        ``mode`` is none, proj (rough, cheap), tae or vae. The library ignores ``interval``: leave frames out yourself.
        """
        number = number_of(self.names.previews, mode, "preview mode")
        self._session.set_preview(function if mode != "none" else None, number, interval, denoised, noisy)

    def show_previews(self, shown: bool) -> None:
        """Whether the function of :meth:`on_preview` is called, also within a running call, and from any thread."""
        self._session.show_previews(shown)

    def open_context(self, params: ContextParams) -> Context:
        """Load a model. Raises NativeError with the library's last errors; also when it would pass over a broken
        component.
        """
        return Context(self._session, params)

    def open_upscaler(
        self,
        path: Path,
        threads: int | None = None,
        tile_size: int = 128,
        *,
        offload_params_to_cpu: bool = False,
        conv_direct: bool = False,
    ) -> Upscaler:
        """Load an ESRGAN model; ``tile_size`` in pixels bounds the memory. Raises NativeError."""
        return Upscaler(
            self._session, path, threads or self.physical_cores, tile_size, offload_params_to_cpu, conv_direct
        )

    def canny(
        self,
        picture: Picture,
        *,
        high_threshold: float = 0.08,
        low_threshold: float = 0.08,
        weak: float = 0.8,
        strong: float = 1.0,
        inverse: bool = False,
    ) -> Picture:
        """The edges of ``picture`` as a picture of the same size (``preprocess_canny``)."""
        edges = np.array(images.as_pixels(picture, "picture"))
        structures = self._foreign.abi.structures(self._foreign, self.names)
        image = structures.picture(edges, "picture")
        if not self._foreign.sd.preprocess_canny(image, high_threshold, low_threshold, weak, strong, inverse):
            raise NativeError("canny: the library reported a failure")
        return edges

    def convert(
        self,
        source: Path,
        target: Path,
        type_name: str,
        *,
        vae: Path | None = None,
        tensor_type_rules: str = "",
        convert_names: bool = False,
    ) -> None:
        """Write ``source`` as a model file of another type (``convert``). It cannot be cancelled and leaves partial
        files on failure.
        """
        if source.resolve() == target.resolve():
            raise NativeError(f"convert: {target} would overwrite its own input")
        structures = self._foreign.abi.structures(self._foreign, self.names)
        rules = structures.text(tensor_type_rules, "tensor_type_rules")
        number = number_of(self.names.types, type_name, "type")
        vae_path = b"" if vae is None else os.fsencode(vae)
        shim = self._foreign.shim
        self._session.call(
            "convert",
            lambda: shim.sdrest_shim_convert(
                os.fsencode(source), vae_path, os.fsencode(target), number, rules, convert_names
            ),
        )

    def cancel(self) -> None:
        """End the running call from any thread; it raises Cancelled. Loading and converting run to their end.

        A request that no call has honoured stays, and ends the next call at once, until :meth:`arm`.
        """
        self._session.cancel()

    def arm(self) -> None:
        """Forget a cancel request that came too late. Call it when a new job begins, before that job can be
        cancelled.
        """
        self._foreign.shim.sdrest_shim_arm()

    @contextmanager
    def dry_run(self) -> Iterator[BufferReport]:
        """Generate without computing: the buffers are reserved, and reported by the yielded object when the block ends.

        LoRAs that are merged into the weights are merged all the same. Raises NativeError where
        ``soft_cancel_available`` is false.
        """
        if not self.soft_cancel_available:
            raise NativeError("dry run: this library's calls cannot be intercepted")
        report = BufferReport()
        with self._session.dry(report):
            yield report
