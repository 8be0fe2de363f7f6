"""The native library as Python objects: plain data in, numpy arrays out, every failure an exception where C allows it.

This is the only package that imports ``stable_diffusion_cpp``, and only its low-level ctypes module: the high-level one
never frees pictures, redirects standard output and misses failed loads. Nothing is loaded before
:meth:`NativeLibrary.load`.

Traps of the library that are handled here: weights freed after the first generation, callbacks and generations global
to the process, broken LoRA and component files passed over in silence, results to be freed by the caller, values that
end the process. Left to the caller: only one thread, with a stack of ``NATIVE_STACK_BYTES``, should make calls; and
some failures still end the process.
"""

from sdrest.engine.child.binding.context import Context
from sdrest.engine.child.binding.errors import Cancelled, FailureKind, NativeError
from sdrest.engine.child.binding.library import NativeLibrary
from sdrest.engine.child.binding.logs import Buffer, BufferReport
from sdrest.engine.child.binding.parameters import NO_INPUTS, ContextParams, Embedding, Inputs, Picture
from sdrest.engine.child.binding.upscaler import Upscaler

__all__ = [
    "NO_INPUTS",
    "Buffer",
    "BufferReport",
    "Cancelled",
    "Context",
    "ContextParams",
    "Embedding",
    "FailureKind",
    "Inputs",
    "NativeError",
    "NativeLibrary",
    "Picture",
    "Upscaler",
]
