"""Loading the shim and the native library.

The shim (``native/``) must be in the process, with its symbols global, before libstable-diffusion is loaded: only then
are the library's calls of ``ggml_backend_graph_compute`` bound to it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Final

from sdrest.core.installed import built_file_candidates
from sdrest.engine.child.binding.abi import PACKAGE, Prototype, known_abi
from sdrest.engine.child.binding.abi_check import differences
from sdrest.engine.child.binding.errors import NativeError

#: ``SDREST_SHIM_ABI`` of native/sdrest_shim.h.
SHIM_ABI: Final = 1
CANCEL_NONE, CANCEL_GRAPH, CANCEL_PROGRESS = 0, 1, 2
STATUS_OK, STATUS_FAILED, STATUS_CANCELLED, STATUS_EXCEPTION, STATUS_ASSERTION, STATUS_DETACHED = range(6)
PHASE_PREPARE: Final = 1

_SHIM_FILE: Final = {"win32": "libsdrest_shim.dll", "darwin": "libsdrest_shim.dylib"}.get(
    sys.platform, "libsdrest_shim.so"
)

#: ``void (*sdrest_log_callback)(int level, const char* text, void* data)``
LogCallback = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)
#: ``void (*sdrest_progress_callback)(int step, int steps, float seconds, void* data)``
ProgressCallback = ctypes.CFUNCTYPE(None, c_int, c_int, c_float, c_void_p)


def shim_functions(image: type[ctypes.Structure]) -> list[Prototype]:
    """The functions of ``native/sdrest_shim.h`` that are called here; ``image`` is ``sd_image_t``."""
    images = POINTER(image)
    return [
        ("int sdrest_shim_abi(void)", c_int, []),
        ("int sdrest_shim_attach(void* library, bool interpose)", c_int, [c_void_p, c_bool]),
        ("void sdrest_shim_set_log_callback(sdrest_log_callback callback, void* data)", None, [c_void_p, c_void_p]),
        ("void sdrest_shim_set_progress_callback(sdrest_progress_callback callback, void* data)",
         None, [c_void_p, c_void_p]),
        ("void sdrest_shim_cancel(void)", None, []),
        ("void sdrest_shim_arm(void)", None, []),
        ("void sdrest_shim_set_dry_run(bool on)", None, [c_bool]),
        ("int sdrest_shim_new_context(const void* params, void** context)", c_int, [c_void_p, POINTER(c_void_p)]),
        ("int sdrest_shim_generate_image(void* context, const void* params, int count, sdrest_image** images)",
         c_int, [c_void_p, c_void_p, c_int, POINTER(images)]),
        ("int sdrest_shim_generate_video(void* context, const void* params, sdrest_image** images, int* count)",
         c_int, [c_void_p, c_void_p, POINTER(images), POINTER(c_int)]),
        (("int sdrest_shim_new_upscaler("
          "const char* path, bool offload_params_to_cpu, bool direct, int threads, int tile_size, void** upscaler)"),
         c_int, [c_char_p, c_bool, c_bool, c_int, c_int, POINTER(c_void_p)]),
        ("int sdrest_shim_upscale(void* upscaler, sdrest_image image, uint32_t factor, sdrest_image* result)",
         c_int, [c_void_p, image, c_uint32, images]),
        (("int sdrest_shim_convert("
          "const char* input, const char* vae, const char* output, int type, const char* rules, bool convert_names)"),
         c_int, [c_char_p, c_char_p, c_char_p, c_int, c_char_p, c_bool]),
        ("void sdrest_shim_free_images(sdrest_image* images, int count, bool array)", None, [images, c_int, c_bool]),
        ("const char* sdrest_shim_error(void)", c_char_p, []),
        ("int sdrest_shim_phase(void)", c_int, []),
        ("uint64_t sdrest_shim_graphs_computed(void)", c_uint64, []),
    ]  # fmt: skip


def shim_candidates() -> list[Path]:
    """Where the shim is looked for: ``SDREST_SHIM``, then where it was installed or built."""
    named = os.environ.get("SDREST_SHIM")
    return [*([Path(named)] if named else []), *built_file_candidates("engine/child", _SHIM_FILE)]


class Foreign:
    """The two loaded libraries: ``sd`` (the package's low-level module), ``lib`` and ``shim`` (``ctypes.CDLL``), and their ``abi``.

    Raises :class:`NativeError` when the shim is missing or of another version, the library cannot be loaded, or its
    interface is none that is known (:mod:`.abi`, :mod:`.abi_check`).
    """

    def __init__(self, shim: Path | None = None, *, interpose: bool = True) -> None:
        self.abi = known_abi()
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
        _declare(self.shim, shim_functions(sd.sd_image_t))
        if self.shim.sdrest_shim_abi() != SHIM_ABI:
            raise NativeError(f"{self.shim_path} is of another version of sdrest; build it again")
        _declare(self.lib, self.abi.functions)
        if differing := differences(sd, self.lib, self.abi):
            raise NativeError(
                f"{self.lib._name} has another interface than {PACKAGE} {self.abi.version}: {'; '.join(differing)}"
            )
        self.cancel_mode: int = self.shim.sdrest_shim_attach(self.lib._handle, interpose)
        if self.cancel_mode == CANCEL_NONE:
            raise NativeError(f"{self.lib._name} lacks functions of libstable-diffusion")


def _declare(library: ctypes.CDLL, prototypes: Sequence[Prototype]) -> None:
    for declaration, result, arguments in prototypes:
        name = declaration.partition("(")[0].split()[-1]
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise NativeError(f"{library._name} has no function {name}: it is of another version") from error
        function.restype = result
        function.argtypes = arguments
