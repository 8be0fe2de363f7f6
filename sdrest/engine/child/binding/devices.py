"""The devices that the loaded library registered at run time: what it really can compute on."""

from __future__ import annotations

import ctypes

from sdrest.engine.child.binding.foreign import Foreign
from sdrest.engine.messages import DeviceInfo


def registered(foreign: Foreign) -> list[DeviceInfo]:
    """All devices, in the library's order (it computes on the first GPU unless told otherwise)."""
    lib, types = foreign.lib, foreign.abi.device_types
    found = []
    for index in range(lib.ggml_backend_dev_count()):
        device = lib.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        lib.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        kind = lib.ggml_backend_dev_type(device)
        found.append(
            DeviceInfo(
                name=_text(lib.ggml_backend_dev_name(device)),
                description=_text(lib.ggml_backend_dev_description(device)),
                type=types[kind] if 0 <= kind < len(types) else "other",
                memory_free=free.value,
                memory_total=total.value,
                backend=_text(lib.ggml_backend_reg_name(lib.ggml_backend_dev_backend_reg(device))),
            )
        )
    return found


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")
