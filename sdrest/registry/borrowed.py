"""Folders of models that other programs keep, read in place: ComfyUI's, A1111's, InvokeAI's, or any folder.

Nothing is copied, and nothing is written into them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import yaml

from sdrest.core.errors import InvalidInput, did_you_mean
from sdrest.registry.folders import ANY_KIND, BY_KEY, FOLDER_KINDS, Folder
from sdrest.registry.invokeai import Installed, installed_models

_PREFIX: Final = re.compile(r"(?P<program>[a-z0-9]+):(?P<folder>.*)", re.DOTALL)
_SIZE_LIMIT: Final = 1024 * 1024
_EXTRA_PATHS: Final = "extra_model_paths.yaml"

#: ComfyUI's words for kinds of models, in its ``models`` folder and in ``extra_model_paths.yaml``, with the keys of our kinds.
_COMFYUI: Final[Mapping[str, str]] = {
    "checkpoints": "checkpoints",
    "diffusers": "checkpoints",
    "diffusion_models": "diffusion_models",
    "unet": "diffusion_models",
    "unet_gguf": "diffusion_models",
    "loras": "lora",
    "vae": "vae",
    "vae_approx": "taesd",
    "text_encoders": "text_encoders",
    "clip": "text_encoders",
    "clip_gguf": "text_encoders",
    "clip_vision": "clip_vision",
    "controlnet": "controlnet",
    "upscale_models": "esrgan",
    "embeddings": "embeddings",
    "photomaker": "photomaker",
}
_A1111: Final[Mapping[str, str]] = {
    "models/Stable-diffusion": "checkpoints",
    "models/diffusers": "checkpoints",
    "models/Lora": "lora",
    "models/LyCORIS": "lora",
    "models/VAE": "vae",
    "models/VAE-approx": "taesd",
    "models/ESRGAN": "esrgan",
    "models/RealESRGAN": "esrgan",
    "models/ControlNet": "controlnet",
    "extensions/sd-webui-controlnet/models": "controlnet",
    "models/text_encoder": "text_encoders",
    "embeddings": "embeddings",
}
#: Every name that a folder of some kind has in one of the programs.
_ANY_NAME: Final[Mapping[str, str]] = {
    **{name.casefold(): kind.key for kind in FOLDER_KINDS for name in kind.names},
    **{name.rpartition("/")[2].casefold(): key for name, key in _A1111.items() if not name.startswith("extensions/")},
    **_COMFYUI,
}


class Program(StrEnum):
    """Whose layout a folder has."""

    COMFYUI = "comfyui"
    A1111 = "a1111"
    INVOKEAI = "invokeai"
    #: Nobody's in particular.
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Lent:
    """What a lender has: folders to scan, and what is wrong there, in words."""

    folders: tuple[Folder, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lender:
    """Another program's folder. ``label`` tells it apart in the names of models."""

    program: Program
    root: Path
    label: str

    def lent(self) -> Lent:
        """The folders as they are now. Reads the program's own settings, and looks at the disk."""
        if not self.root.is_dir():
            return Lent((), (f"{self.root}: there is no such folder (models_from)",))
        try:
            return _LAYOUTS[self.program](self)
        except OSError as error:
            return Lent((), (f"{self.root}: {error.strerror} (models_from)",))


def lenders_of(texts: Iterable[str]) -> tuple[Lender, ...]:
    """What ``comfyui:DIR``, ``a1111:DIR``, ``invokeai:DIR`` and ``DIR`` name.

    Raises:
        InvalidInput: a program that is none of these; names the field ``models_from``.
    """
    found: list[Lender] = []
    labels: dict[str, int] = {}
    for text in texts:
        program, folder = Program.FOLDER, text.strip()
        named = _PREFIX.fullmatch(folder)
        if named and not Path(folder).exists():
            known = [item.value for item in Program]
            if named["program"] not in known:
                hint = did_you_mean(named["program"], known)
                raise InvalidInput(
                    f"{text!r}: unknown program {named['program']!r}{hint}; known: {', '.join(known)}",
                    field="models_from",
                )
            program, folder = Program(named["program"]), named["folder"]
        if not folder:
            raise InvalidInput(f"{text!r} names no folder", field="models_from")
        root = Path(os.path.normpath(Path(os.path.expanduser(folder)).absolute()))  # noqa: PTH111 - see _expanded
        label = program.value if program is not Program.FOLDER else root.name or "root"
        labels[label] = labels.get(label, 0) + 1
        found.append(Lender(program, root, label if labels[label] == 1 else f"{label}-{labels[label]}"))
    return tuple(found)


def _comfyui(lender: Lender) -> Lent:
    """``models`` by ComfyUI's names, and the places that its ``extra_model_paths.yaml`` names."""
    models = lender.root / "models" if (lender.root / "models").is_dir() else lender.root
    folders = [Folder(BY_KEY[key], models / name, lender.label) for name, key in _COMFYUI.items()]
    extra = next((path for path in (lender.root / _EXTRA_PATHS, models.parent / _EXTRA_PATHS) if path.is_file()), None)
    problems: list[str] = []
    if extra is not None:
        try:
            places = list(_extra_paths(extra))
        except (ValueError, yaml.YAMLError, RecursionError) as error:
            places = []
            problems.append(f"{extra}: {str(error).splitlines()[0]}; the folders that it names are not read")
        for name, path in places:
            key = _COMFYUI.get(name.casefold())
            if key is not None:  # others are for what is no model here: custom nodes, configurations …
                folders.append(Folder(BY_KEY[key], path, lender.label))
    return Lent(_there(folders), tuple(problems))


def _extra_paths(file: Path) -> Iterator[tuple[str, Path]]:
    """(ComfyUI's name of a kind, folder) as the file has them. Raises ValueError, YAMLError for what is no such file."""
    if file.stat().st_size > _SIZE_LIMIT:
        raise ValueError("longer than a megabyte")
    read = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    if not isinstance(read, dict):
        raise ValueError("is no mapping of programs to folders")  # noqa: TRY004 - what a file holds, not what was passed
    for section in read.values():
        if not isinstance(section, dict):
            continue
        base = section.get("base_path")
        start = file.parent / _expanded(base) if isinstance(base, str) else file.parent
        for name, places in section.items():
            if name in {"base_path", "is_default"} or not isinstance(places, str):
                continue
            for line in filter(None, map(str.strip, places.splitlines())):
                yield str(name), Path(os.path.normpath(start / _expanded(line)))


def _expanded(text: str) -> str:
    # Of a user who is not there, os.path leaves the name as it is, and pathlib raises.
    return os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111


def _a1111(lender: Lender) -> Lent:
    return Lent(_there(Folder(BY_KEY[key], _child(lender.root, name), lender.label) for name, key in _A1111.items()))


def _invokeai(lender: Lender) -> Lent:
    """The folder ``models``, with the names of InvokeAI's database, and what that has elsewhere."""
    models = lender.root / "models" if (lender.root / "models").is_dir() else lender.root
    installed: tuple[Installed, ...] = ()
    problems: tuple[str, ...] = ()
    try:
        installed = installed_models(lender.root)
    except ValueError as error:
        problems = (f"{lender.root}: {error}; its models keep the names of their files",)
    placed = {models / item.path: item for item in installed}
    # A name may become that of a file, of one that is converted from it.
    titles = {os.path.normpath(path): item.name.replace("/", "-") for path, item in placed.items()}
    folders = [Folder(ANY_KIND, models, lender.label, titles=titles)]
    folders += _elsewhere(placed, models, lender.label, titles)
    return Lent(_there(folders), problems)


def _elsewhere(
    placed: Mapping[Path, Installed], models: Path, label: str, titles: Mapping[str, str]
) -> Iterator[Folder]:
    """One folder for each that holds models outside ``models``, with the names of those alone."""
    outside: dict[Path, set[str]] = {}
    for path in placed:
        if path.is_absolute() and not path.is_relative_to(models):
            outside.setdefault(path.parent, set()).add(path.name)
    for parent, names in outside.items():
        yield Folder(ANY_KIND, parent, label, frozenset(names), titles)


def _any_folder(lender: Lender) -> Lent:
    """Sub-folders by any name of a kind; of all other files their content says what they are."""
    named = [
        Folder(BY_KEY[key], path, lender.label)
        for path in sorted(lender.root.iterdir())
        if (key := _ANY_NAME.get(path.name.casefold())) is not None and BY_KEY[key].extensions == ANY_KIND.extensions
    ]
    return Lent((*_there(named), Folder(ANY_KIND, lender.root, lender.label)))


def _there(folders: Iterable[Folder]) -> tuple[Folder, ...]:
    return tuple(folder for folder in folders if folder.path.is_dir())


def _child(root: Path, name: str) -> Path:
    """``root/name``, in whatever mixture of capitals it is there."""
    path = root
    for part in name.split("/"):
        exact = path / part
        if not exact.exists() and path.is_dir():
            exact = next((item for item in path.iterdir() if item.name.casefold() == part.casefold()), exact)
        path = exact
    return path


_LAYOUTS: Final[Mapping[Program, Callable[[Lender], Lent]]] = {
    Program.COMFYUI: _comfyui,
    Program.A1111: _a1111,
    Program.INVOKEAI: _invokeai,
    Program.FOLDER: _any_folder,
}
