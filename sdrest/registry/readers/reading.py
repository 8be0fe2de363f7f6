"""Reading a header whatever the container is."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

from sdrest.core.model import ModelFormat
from sdrest.registry.readers import gguf, safetensors, torch_zip
from sdrest.registry.readers.header import Header, HeaderError, TensorInfo, open_sized

#: Parts of a diffusers folder and the name prefixes under which the library loads them (``init_from_diffusers_file``).
DIFFUSERS_PARTS: tuple[tuple[str, str], ...] = (
    ("unet/diffusion_pytorch_model.safetensors", "unet."),
    ("vae/diffusion_pytorch_model.safetensors", "vae."),
    ("text_encoder/model.safetensors", "te."),
    ("text_encoder_2/model.safetensors", "te.1."),
)


def is_diffusers_folder(path: Path) -> bool:
    """Whether the library could load ``path`` as a folder in the diffusers layout."""
    return (path / DIFFUSERS_PARTS[0][0]).is_file()


def read_header(path: Path) -> Header:
    """The header of the model at ``path``, found by content (the name's extension is not trusted).

    A folder in the diffusers layout gives the joint header of its parts. Raises :class:`HeaderError`, whose message
    begins with the file's name.
    """
    if path.is_dir():
        return _read_diffusers(path)
    file, size = open_sized(path)
    with file:
        try:
            return _read_open(file, size)
        except HeaderError as error:
            raise HeaderError(f"{path.name}: {error.message}") from error
        except OSError as error:
            raise HeaderError(f"{path.name}: cannot be read ({error.strerror})") from error


def _read_open(file: BufferedReader, size: int) -> Header:
    start = file.read(16)
    file.seek(0)
    if start.startswith(gguf.MAGIC):
        return gguf.read_gguf(file, size)
    if start.startswith(torch_zip.ZIP_MAGIC):
        return torch_zip.read_torch_zip(file, size)
    if safetensors.looks_like_safetensors(start, size):
        return safetensors.read_safetensors(file, size)
    if start[:1] == b"\x80":
        return torch_zip.read_torch_legacy(file, size)
    raise HeaderError(_unknown(start, size))


def _unknown(start: bytes, size: int) -> str:
    if size == 0:
        return "the file is empty"
    if start.lstrip()[:1] == b"<":
        return "this is a web page, not a model; the download probably needed a login"
    if start.startswith(b"version https:/"):
        return "this is a Git LFS pointer, not the model itself; fetch it with git lfs pull"
    return "neither GGUF, safetensors nor a torch file"


def _read_diffusers(path: Path) -> Header:
    """One header over all parts; offsets are those within each part's own file."""
    tensors: list[TensorInfo] = []
    size = 0
    for part, prefix in DIFFUSERS_PARTS:
        file = path / part
        if not file.is_file():
            continue
        header = read_header(file)
        size += header.file_size
        tensors += [
            TensorInfo(prefix + t.name, t.shape, t.type, t.offset, t.nbytes, t.raw_type) for t in header.tensors
        ]
    if not tensors:
        raise HeaderError(f"{path.name}: a folder without {DIFFUSERS_PARTS[0][0]}: not in the diffusers layout")
    return Header(ModelFormat.DIFFUSERS, size, tuple(tensors))
