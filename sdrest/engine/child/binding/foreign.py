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

#: ``void (*sdrest_log_callback)(int level, const char* text, void* data)``
LogCallback = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)
#: ``void (*sdrest_progress_callback)(int step, int steps, float seconds, void* data)``
ProgressCallback = ctypes.CFUNCTYPE(None, c_int, c_int, c_float, c_void_p)

#: A C function: its declaration, and what ctypes makes of it, the type of the result and those of the arguments.
Prototype = tuple[str, Any, list[Any]]


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


#: Functions of ``stable-diffusion.h`` and ``ggml-backend.h``. The low-level module declares only a part, and some with
#: typed pointers; handles are plain addresses here.
LIBRARY_FUNCTIONS: Final[list[Prototype]] = [
    ("void free_sd_ctx(sd_ctx_t* sd_ctx)", None, [c_void_p]),
    ("void free_upscaler_ctx(upscaler_ctx_t* upscaler_ctx)", None, [c_void_p]),
    ("int get_upscale_factor(upscaler_ctx_t* upscaler_ctx)", c_int, [c_void_p]),
    ("bool sd_ctx_supports_image_generation(const sd_ctx_t* sd_ctx)", c_bool, [c_void_p]),
    ("bool sd_ctx_supports_video_generation(const sd_ctx_t* sd_ctx)", c_bool, [c_void_p]),
    ("void sd_ctx_params_init(sd_ctx_params_t* sd_ctx_params)", None, [c_void_p]),
    ("void sd_sample_params_init(sd_sample_params_t* sample_params)", None, [c_void_p]),
    ("void sd_img_gen_params_init(sd_img_gen_params_t* sd_img_gen_params)", None, [c_void_p]),
    ("void sd_vid_gen_params_init(sd_vid_gen_params_t* sd_vid_gen_params)", None, [c_void_p]),
    ("void sd_cache_params_init(sd_cache_params_t* cache_params)", None, [c_void_p]),
    ("void sd_hires_params_init(sd_hires_params_t* hires_params)", None, [c_void_p]),
    ("const char* sd_type_name(enum sd_type_t type)", c_char_p, [c_int]),
    ("const char* sd_rng_type_name(enum rng_type_t rng_type)", c_char_p, [c_int]),
    ("const char* sd_sample_method_name(enum sample_method_t sample_method)", c_char_p, [c_int]),
    ("const char* sd_scheduler_name(enum scheduler_t scheduler)", c_char_p, [c_int]),
    ("const char* sd_prediction_name(enum prediction_t prediction)", c_char_p, [c_int]),
    ("const char* sd_preview_name(enum preview_t preview)", c_char_p, [c_int]),
    ("const char* sd_lora_apply_mode_name(enum lora_apply_mode_t mode)", c_char_p, [c_int]),
    ("const char* sd_hires_upscaler_name(enum sd_hires_upscaler_t upscaler)", c_char_p, [c_int]),
    ("size_t ggml_backend_dev_count(void)", c_size_t, []),
    ("ggml_backend_dev_t ggml_backend_dev_get(size_t index)", c_void_p, [c_size_t]),
    ("const char* ggml_backend_dev_name(ggml_backend_dev_t device)", c_char_p, [c_void_p]),
    ("const char* ggml_backend_dev_description(ggml_backend_dev_t device)", c_char_p, [c_void_p]),
    ("void ggml_backend_dev_memory(ggml_backend_dev_t device, size_t* free, size_t* total)",
     None, [c_void_p, POINTER(c_size_t), POINTER(c_size_t)]),
    ("enum ggml_backend_dev_type ggml_backend_dev_type(ggml_backend_dev_t device)", c_int, [c_void_p]),
    ("ggml_backend_reg_t ggml_backend_dev_backend_reg(ggml_backend_dev_t device)", c_void_p, [c_void_p]),
    ("const char* ggml_backend_reg_name(ggml_backend_reg_t reg)", c_char_p, [c_void_p]),
]  # fmt: skip


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
        _declare(self.shim, shim_functions(sd.sd_image_t))
        if self.shim.sdrest_shim_abi() != SHIM_ABI:
            raise NativeError(f"{self.shim_path} is of another version of sdrest; build it again")
        _declare(self.lib, LIBRARY_FUNCTIONS)
        self._check_structures()
        self.cancel_mode: int = self.shim.sdrest_shim_attach(self.lib._handle, interpose)
        if self.cancel_mode == CANCEL_NONE:
            raise NativeError(f"{self.lib._name} lacks functions of libstable-diffusion")

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


def _declare(library: ctypes.CDLL, prototypes: list[Prototype]) -> None:
    for declaration, result, arguments in prototypes:
        name = declaration.partition("(")[0].split()[-1]
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise NativeError(f"{library._name} has no function {name}: it is of another version") from error
        function.restype = result
        function.argtypes = arguments
