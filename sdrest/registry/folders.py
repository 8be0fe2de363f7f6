"""Where models of each type lie: one folder per kind under the models directory, each of which may be moved
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sdrest.core.errors import Forbidden, InvalidInput
from sdrest.core.model import TEXT_TYPES, ModelType

if TYPE_CHECKING:
    from sdrest.registry.borrowed import Lender
    from sdrest.registry.lending import Lending

_NOTHING = ModelType(0)
_WEIGHTS = (".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin")
#: Most levels of sub-folders that are looked into.
DEPTH_LIMIT = 16


@dataclass(frozen=True, slots=True)
class FolderKind:
    """A kind of model folder: ``key`` names its option (``--checkpoints``), ``names`` the folder names looked for.

    ``type`` is what files there are taken for when their content does not say otherwise, ``accepts`` all that belong
    there.
    """

    key: str
    type: ModelType
    names: tuple[str, ...]
    extensions: tuple[str, ...]
    description: str
    accepts: ModelType = _NOTHING

    @property
    def types(self) -> ModelType:
        """Every type whose files belong in this folder."""
        return self.type | self.accepts


_MAIN = ModelType.CHECKPOINT | ModelType.DIFFUSION_MODEL
_TEXT_ENCODERS = ModelType.CLIP_L | ModelType.CLIP_G | ModelType.T5XXL | ModelType.LLM | ModelType.LLM_VISION

#: The contract's eleven folders, then ours. The first name is created when none exists.
FOLDER_KINDS: tuple[FolderKind, ...] = (
    FolderKind("lora", ModelType.LORA, ("lora", "loras", "Lora"), _WEIGHTS, "Low-rank adaptation models"),
    FolderKind(
        "checkpoints",
        ModelType.CHECKPOINT,
        ("checkpoints", "Stable-diffusion"),
        _WEIGHTS,
        "Main models, text encoders and VAE included",
        _MAIN,
    ),
    FolderKind("vae", ModelType.VAE, ("vae", "VAE"), _WEIGHTS, "Variational autoencoders", ModelType.TAESD),
    FolderKind("presets", ModelType.PRESETS, ("presets",), (".json", ".yaml", ".yml"), "Generation presets"),
    FolderKind("prompts", ModelType.PROMPTS, ("prompts",), (".txt", ".json", ".csv"), "Prompt templates"),
    FolderKind("neg_prompts", ModelType.NEG_PROMPTS, ("neg_prompts",), (".txt", ".json"), "Negative prompt templates"),
    FolderKind("taesd", ModelType.TAESD, ("taesd", "vae_approx"), _WEIGHTS, "Tiny autoencoders"),
    FolderKind(
        "esrgan", ModelType.ESRGAN, ("esrgan", "ESRGAN"), _WEIGHTS, "Super-resolution models", ModelType.UPSCALER
    ),
    FolderKind("controlnet", ModelType.CONTROLNET, ("controlnet", "ControlNet"), _WEIGHTS, "ControlNet models"),
    FolderKind(
        "upscaler",
        ModelType.UPSCALER,
        ("upscaler", "upscalers", "upscale_models"),
        _WEIGHTS,
        "Image upscalers",
        ModelType.ESRGAN,
    ),
    FolderKind("embeddings", ModelType.EMBEDDING, ("embeddings",), _WEIGHTS, "Textual embeddings"),
    FolderKind(
        "diffusion_models",
        ModelType.DIFFUSION_MODEL,
        ("diffusion_models", "unet"),
        _WEIGHTS,
        "Diffusion models without text encoders",
        _MAIN,
    ),
    FolderKind(
        "text_encoders",
        ModelType.CLIP_L,
        ("text_encoders", "clip", "t5", "llm"),
        _WEIGHTS,
        "Text encoders: CLIP-L, CLIP-G, T5, language models",
        _TEXT_ENCODERS,
    ),
    FolderKind("clip_vision", ModelType.CLIP_VISION, ("clip_vision",), _WEIGHTS, "CLIP image encoders"),
    FolderKind("photomaker", ModelType.PHOTOMAKER, ("photomaker",), _WEIGHTS, "PhotoMaker models"),
)
BY_KEY: Mapping[str, FolderKind] = {kind.key: kind for kind in FOLDER_KINDS}
#: Where only its content says what a file is for. No folder of our own is of this kind.
ANY_KIND = FolderKind("models", ModelType.CHECKPOINT, (), _WEIGHTS, "Models of any kind", ~ModelType(0) & ~TEXT_TYPES)


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder to scan. ``path`` is absolute; it need not exist.

    ``lender`` names the other program that it is read from, empty for our own; nothing is ever written into those. ``only``
    are the names that count in it (None: all), ``titles`` what that program calls models, by path.
    """

    kind: FolderKind
    path: Path
    lender: str = ""
    only: frozenset[str] | None = None
    titles: Mapping[str, str] = field(default_factory=dict)


class Folders:
    """All model folders: ``models_dir`` with its named sub-folders, and ``overrides`` by kind key.

    An override is a path, or a name relative to ``models_dir`` (``--checkpoints checkpoints``, as the contract has it).
    ``lending`` knows the other programs whose folders are read in place.
    """

    def __init__(
        self, models_dir: Path, overrides: Mapping[str, Path] | None = None, lending: Lending | None = None
    ) -> None:
        unknown = set(overrides or {}) - set(BY_KEY)
        if unknown:
            raise InvalidInput(f"unknown model folder {min(unknown)!r}; known: {', '.join(BY_KEY)}", field="folders")
        self.models_dir = models_dir.absolute()
        self._overrides = dict(overrides or {})
        self.lending = lending

    @property
    def lenders(self) -> tuple[Lender, ...]:
        """The programs that lend their folders now."""
        return self.lending.lenders if self.lending else ()

    @property
    def notes_dir(self) -> Path | None:
        """Where what is written here of borrowed models lies."""
        return self.lending.notes_dir if self.lending else None

    def primary(self, kind: FolderKind) -> Path:
        """The folder that new files of this kind go to."""
        override = self._overrides.get(kind.key)
        if override is not None:
            return override if override.is_absolute() else self.models_dir / override
        return next(
            (self.models_dir / name for name in kind.names if (self.models_dir / name).is_dir()),
            self.models_dir / kind.names[0],
        )

    def all(self) -> tuple[Folder, ...]:
        """Every folder of our own, the primary one of each kind first; a folder is scanned for one kind only."""
        found: dict[Path, Folder] = {}
        for kind in FOLDER_KINDS:
            primary = self.primary(kind)
            found.setdefault(primary, Folder(kind, primary))
        for kind in FOLDER_KINDS:
            if kind.key in self._overrides:
                continue
            for name in kind.names:
                path = self.models_dir / name
                if path not in found and path.is_dir() and not any(_same(path, other) for other in found):
                    found[path] = Folder(kind, path)
        return tuple(found.values())

    def borrowed(self) -> tuple[tuple[Folder, ...], tuple[str, ...]]:
        """The folders of other programs as they are now, and what is wrong with them, in words. Reads their settings."""
        lent = [lender.lent() for lender in self.lenders]
        folders = tuple(folder for item in lent for folder in item.folders)
        return folders, tuple(problem for item in lent for problem in item.problems)

    def for_type(self, wanted: ModelType) -> FolderKind:
        """The kind of folder for files of one type."""
        for kind in FOLDER_KINDS:
            if kind.type is wanted:
                return kind
        return next(kind for kind in FOLDER_KINDS if wanted in kind.types)

    def confine(self, path: Path) -> Path:
        """``path`` made absolute with all links resolved, if it lies inside a model folder.

        A relative path is taken from the models directory. Raises :class:`Forbidden` otherwise, and for what lies in the folder
        of another program.
        """
        absolute = (path if path.is_absolute() else self.models_dir / path).resolve()
        own = [self.models_dir.resolve(), *(folder.path.resolve() for folder in self.all())]
        others = [lender.root.resolve() for lender in self.lenders]
        innermost = max(_around(absolute, (*own, *others)), key=lambda root: len(root.parts), default=None)
        if innermost is None or (innermost in others and innermost not in own):
            raise Forbidden(f"{path} lies outside the model folders", path=str(path))
        return absolute


def _around(path: Path, roots: Sequence[Path]) -> Iterator[Path]:
    return (root for root in roots if path.is_relative_to(root) and path != root)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def extensions_of(wanted: ModelType) -> tuple[str, ...]:
    """File name extensions that belong to a type."""
    if wanted in TEXT_TYPES:
        return next(kind.extensions for kind in FOLDER_KINDS if kind.type is wanted)
    return _WEIGHTS
