"""The library's own ``convert_tensor_name``, called in a process of its own: names on stdin, their conversions on stdout.

Each line is ``VERSION<TAB>NAME``. The function takes and returns ``std::string`` by value; on the Itanium C++ ABI that is a
pointer to 32 bytes (data, length, buffer), which is built by hand here. Not a test module.
"""

from __future__ import annotations

import ctypes
import sys

from sdrest.conversion.ggml import library_path


class _String(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("buffer", ctypes.c_size_t * 2))


def main() -> None:
    library = ctypes.CDLL(str(library_path()))
    convert = library["_Z19convert_tensor_nameNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE9SDVersion"]
    convert.restype = ctypes.c_void_p
    convert.argtypes = (ctypes.POINTER(_String), ctypes.POINTER(_String), ctypes.c_int)
    malloc = ctypes.CDLL(None).malloc
    malloc.restype, malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    for line in sys.stdin:
        version, _, name = line.rstrip("\n").partition("\t")
        raw = name.encode()
        # The callee may keep the memory for its result, so it must come from malloc, and is never freed here.
        data = malloc(max(64, len(raw) + 1))
        ctypes.memmove(data, raw + b"\0", len(raw) + 1)
        given = _String(data, len(raw), (ctypes.c_size_t * 2)(max(64, len(raw) + 1) - 1, 0))
        result = _String()
        convert(ctypes.byref(result), ctypes.byref(given), int(version))
        print(ctypes.string_at(result.data, result.length).decode())


if __name__ == "__main__":
    main()
