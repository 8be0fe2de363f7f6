"""Loading the shim and the native library, and the C functions that the rest of this package calls.

The shim (``native/``) must be in the process, with its symbols global, before libstable-diffusion is loaded: only then
are the library's calls of ``ggml_backend_graph_compute`` bound to it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Final

from sdrest.core.installed import built_file_candidates
from sdrest.engine.child.binding.errors import NativeError

#: ``SDREST_SHIM_ABI`` of native/sdrest_shim.h.
SHIM_ABI: Final = 1
CANCEL_NONE, CANCEL_GRAPH, CANCEL_PROGRESS = 0, 1, 2
STATUS_OK, STATUS_FAILED, STATUS_CANCELLED, STATUS_EXCEPTION, STATUS_ASSERTION, STATUS_DETACHED = range(6)
PHASE_PREPARE: Final = 1

_SHIM_FILE: Final = {"win32": "libsdrest_shim.dll", "darwin": "libsdrest_shim.dylib"}.get(
    sys.platform, "libsdrest_shim.so"
)

#: Enumerations that the library can name.
_NAMED: Final = (
    "type",
    "rng_type",
    "sample_method",
    "scheduler",
    "prediction",
    "preview",
    "lora_apply_mode",
    "hires_upscaler",
)

LogCallback = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)
ProgressCallback = ctypes.CFUNCTYPE(None, c_int, c_int, c_float, c_void_p)


def shim_candidates() -> list[Path]:
    """Where the shim is looked for: ``SDREST_SHIM``, then where it was installed or built."""
    named = os.environ.get("SDREST_SHIM")
    return [*([Path(named)] if named else []), *built_file_candidates("engine/child", _SHIM_FILE)]


class Foreign:
    """The two loaded libraries: ``sd`` (the package's low-level module), ``lib`` and ``shim`` (``ctypes.CDLL``).

    Raises :class:`NativeError` when the shim is missing or of another version, the library cannot be loaded, or its
    structures are not those that the low-level module describes.
    """

    def __init__(self, shim: Path | None = None, *, interpose: bool = True) -> None:
        self.shim_path = shim or next((path for path in shim_candidates() if path.is_file()), None)
        if self.shim_path is None:
            looked = ", ".join(str(path) for path in shim_candidates())
            raise NativeError(
                f"{_SHIM_FILE} was not found (looked at {looked}); build it with "
                "`cmake -S . -B build && cmake --build build`, or set SDREST_SHIM"
            )
        try:
            self.shim = ctypes.CDLL(str(self.shim_path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise NativeError(f"the shim cannot be loaded: {error}") from error
        # Loaded earlier, by someone else: its calls may be bound already, past the shim.
        interpose = interpose and "stable_diffusion_cpp" not in sys.modules
        try:
            from stable_diffusion_cpp import stable_diffusion_cpp as sd  # noqa: PLC0415 - after the shim
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            raise NativeError(f"the native library cannot be loaded: {error}") from error
        self.sd: Any = sd
        self.lib: ctypes.CDLL = sd._lib
        self._declare_shim()
        if self.shim.sdrest_shim_abi() != SHIM_ABI:
            raise NativeError(f"{self.shim_path} is of another version of sdrest; build it again")
        self._declare_library()
        self._check_structures()
        self.cancel_mode: int = self.shim.sdrest_shim_attach(self.lib._handle, interpose)
        if self.cancel_mode == CANCEL_NONE:
            raise NativeError(f"{self.lib._name} lacks functions of libstable-diffusion")

    def _declare_shim(self) -> None:
        images = POINTER(self.sd.sd_image_t)
        prototypes: dict[str, tuple[Any, list[Any]]] = {
            "abi": (c_int, []),
            "attach": (c_int, [c_void_p, c_bool]),
            "set_log_callback": (None, [c_void_p, c_void_p]),
            "set_progress_callback": (None, [c_void_p, c_void_p]),
            "cancel": (None, []),
            "arm": (None, []),
            "cancel_requested": (c_bool, []),
            "set_dry_run": (None, [c_bool]),
            "new_context": (c_int, [c_void_p, POINTER(c_void_p)]),
            "generate_image": (c_int, [c_void_p, c_void_p, c_int, POINTER(images)]),
            "generate_video": (c_int, [c_void_p, c_void_p, POINTER(images), POINTER(c_int)]),
            "new_upscaler": (c_int, [c_char_p, c_bool, c_bool, c_int, c_int, POINTER(c_void_p)]),
            "upscale": (c_int, [c_void_p, self.sd.sd_image_t, c_uint32, images]),
            "convert": (c_int, [c_char_p, c_char_p, c_char_p, c_int, c_char_p, c_bool]),
            "free_images": (None, [images, c_int, c_bool]),
            "error": (c_char_p, []),
            "phase": (c_int, []),
            "graphs_computed": (c_uint64, []),
            "graphs_skipped": (c_uint64, []),
        }
        _declare(self.shim, {f"sdrest_shim_{name}": prototype for name, prototype in prototypes.items()})

    def _declare_library(self) -> None:
        # The low-level module declares only a part, and some with typed pointers; handles are plain addresses here.
        sizes = [POINTER(c_size_t), POINTER(c_size_t)]
        prototypes: dict[str, tuple[Any, list[Any]]] = {
            "free_sd_ctx": (None, [c_void_p]),
            "free_upscaler_ctx": (None, [c_void_p]),
            "get_upscale_factor": (c_int, [c_void_p]),
            "sd_ctx_supports_image_generation": (c_bool, [c_void_p]),
            "sd_ctx_supports_video_generation": (c_bool, [c_void_p]),
            "sd_get_default_sample_method": (c_int, [c_void_p]),
            "sd_get_default_scheduler": (c_int, [c_void_p, c_int]),
            "ggml_backend_dev_count": (c_size_t, []),
            "ggml_backend_dev_get": (c_void_p, [c_size_t]),
            "ggml_backend_dev_name": (c_char_p, [c_void_p]),
            "ggml_backend_dev_description": (c_char_p, [c_void_p]),
            "ggml_backend_dev_memory": (None, [c_void_p, *sizes]),
            "ggml_backend_dev_type": (c_int, [c_void_p]),
            "ggml_backend_dev_backend_reg": (c_void_p, [c_void_p]),
            "ggml_backend_reg_name": (c_char_p, [c_void_p]),
        }
        for kind in ("ctx", "sample", "img_gen", "vid_gen", "cache", "hires"):
            prototypes[f"sd_{kind}_params_init"] = (None, [c_void_p])
        for kind in _NAMED:
            prototypes[f"sd_{kind}_name"] = (c_char_p, [c_int])
        _declare(self.lib, prototypes)

    def _check_structures(self) -> None:
        """Let the library fill its structures with their defaults, between guard bytes: another layout shows itself."""
        sd = self.sd
        for kind, structure, field, expected in (
            ("ctx", sd.sd_ctx_params_t, "chroma_t5_mask_pad", 1),
            ("sample", sd.sd_sample_params_t, "sample_steps", 20),
            ("cache", sd.sd_cache_params_t, "spectrum_warmup_steps", 4),
            ("hires", sd.sd_hires_params_t, "upscale_tile_size", 128),
            ("img_gen", sd.sd_img_gen_params_t, "batch_count", 1),
            ("vid_gen", sd.sd_vid_gen_params_t, "video_frames", 6),
        ):
            size = ctypes.sizeof(structure)
            guard = b"\xa5" * 256
            memory = ctypes.create_string_buffer(b"\xa5" * size + guard, size + len(guard))
            getattr(self.lib, f"sd_{kind}_params_init")(memory)
            filled = structure.from_buffer(memory)
            intact = memory.raw[size:] == guard and getattr(filled, field) == expected
            if kind == "img_gen":
                intact = intact and filled.hires.upscale_tile_size == 128
            if kind == "vid_gen":
                intact = intact and filled.cache.spectrum_warmup_steps == 4
            if not intact:
                raise NativeError(
                    f"{self.lib._name} is of another version than the Python package: its {structure.__name__} differs"
                )


def _declare(library: ctypes.CDLL, prototypes: dict[str, tuple[Any, list[Any]]]) -> None:
    for name, (result, arguments) in prototypes.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise NativeError(f"{library._name} has no function {name}: it is of another version") from error
        function.restype = result
        function.argtypes = arguments
