"""Whether the native library was built for the backend that the settings ask for."""

from __future__ import annotations

from typing import Final

from sdrest.engine.messages import Ready
from sdrest.settings import Backend

#: How ggml names the backend of each choice.
_GGML_NAMES: Final = {
    Backend.CPU: ("CPU",),
    Backend.CUDA: ("CUDA",),
    Backend.VULKAN: ("Vulkan",),
    Backend.METAL: ("Metal", "MTL"),
    Backend.ROCM: ("ROCm", "HIP"),
    Backend.SYCL: ("SYCL",),
    Backend.OPENCL: ("OpenCL",),
}


def missing_backend(wanted: Backend, info: Ready) -> str:
    """Why the wanted backend is not there; empty when it is."""
    if wanted is Backend.AUTO:
        return ""
    have = sorted({device.backend for device in info.devices})
    if any(backend.startswith(name) for backend in have for name in _GGML_NAMES[wanted]):
        return ""
    return (
        f"the backend {wanted} is not in this build (it has: {', '.join(have) or 'none'}); "
        f"run ./install.sh --backend {wanted}, or choose another --backend"
    )
