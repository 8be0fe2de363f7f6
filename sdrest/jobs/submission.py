"""What a dialect hands to the job service: parameters, the pictures that came with them, and how to treat the job."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

from sdrest.core.job import JobType
from sdrest.core.model import Model
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters
from sdrest.core.principal import ANYONE, Principal

Parameters = GenerationParameters | UpscaleParameters


@dataclass(frozen=True, slots=True)
class Promised:
    """A picture that another job is to make: its output number ``index``, in pixels of the size that is to be expected."""

    job_id: str
    index: int
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height


#: An input picture: there already, or on its way.
Picture = Image.Image | Promised


class _Output(str):
    """``<job id>/<number>`` on a picture. A class of its own: a text that a file brings along is none."""

    __slots__ = ()


#: Where a picture says which output it is, or was made from; Pillow hands that on to what is made of the picture.
_SOURCE: Final = "sdrest_source"


def mark_source(picture: Image.Image, source: str) -> None:
    """Note on a picture which output it is, or was made from: ``<job id>/<number>``."""
    picture.info[_SOURCE] = _Output(source)


def source_of(picture: Picture) -> str:
    """The output that a picture is, will be or was made from: ``<job id>/<number>``; empty for any other picture."""
    if isinstance(picture, Promised):
        return f"{picture.job_id}/{picture.index}"
    source = picture.info.get(_SOURCE)
    return str(source) if isinstance(source, _Output) else ""


#: What the parameters of a stored job are, by its type; types that make no pictures have none.
TABLES: Final[Mapping[JobType, type[Parameters]]] = {
    JobType.TXT2IMG: GenerationParameters,
    JobType.IMG2IMG: GenerationParameters,
    JobType.INPAINT: GenerationParameters,
    JobType.CONTROLNET: GenerationParameters,
    JobType.UPSCALE: UpscaleParameters,
    JobType.VIDEO: VideoParameters,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request for a job, checked field by field, not yet against a model.

    ``given`` names the parameters that the client set itself: the others take the model's own defaults. ``pictures`` holds the
    input pictures by parameter name, decoded or promised; the parameter itself is empty until the service has stored them.
    """

    type: JobType
    parameters: Parameters
    given: frozenset[str] = frozenset()
    pictures: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    principal: Principal = ANYONE
    priority: int = 0
    idempotency_key: str = ""
    webhook_url: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    #: The output whose parameters these are, but for the seed: ``<job id>/<number>``.
    varied_from: str = ""
    #: Whether an earlier result of the very same request may answer it.
    reuse: bool = True


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submission that was checked: complete parameters, the main model, warnings, the key of its result (or empty), and the
    memory that it takes at the least (0: not known).
    """

    parameters: Parameters
    model: Model | None
    warnings: tuple[str, ...] = ()
    result_key: str = ""
    memory_bytes: int = 0


#: Checks a submission against the models that are here, and fills in what the client left open. Raises InvalidInput with all that
#: is wrong, one problem for each field; or ModelNotFound, ModelUnusable, InsufficientMemory, InsufficientStorage, Unsupported.
Prepare = Callable[[Submission], Awaitable[Prepared]]


def input_names(pictures: Mapping[str, Sequence[Picture]]) -> dict[str, tuple[str, ...]]:
    """What the files of input pictures are called, by parameter."""
    return {field: tuple(f"{field}_{index}.png" for index in range(len(items))) for field, items in pictures.items()}


def sources_of(pictures: Mapping[str, Sequence[Picture]], names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Which files are outputs of other jobs, there or promised: ``<job id>/<number>`` by file name."""
    return {
        file: source
        for parameter, files in names.items()
        for file, picture in zip(files, pictures[parameter], strict=True)
        if (source := source_of(picture))
    }


def promising(pictures: Mapping[str, Sequence[Picture]]) -> tuple[str, ...]:
    """The jobs that are still to make some of the pictures."""
    return tuple(
        dict.fromkeys(item.job_id for items in pictures.values() for item in items if isinstance(item, Promised))
    )


def with_files(parameters: Parameters, names: Mapping[str, tuple[str, ...]]) -> Parameters:
    """``parameters`` with the stored files' names in their picture fields."""
    plural = {
        field.name for field in dataclasses.fields(parameters) if isinstance(getattr(parameters, field.name), tuple)
    }
    values: dict[str, Any] = {name: files if name in plural else files[0] for name, files in names.items()}
    return dataclasses.replace(parameters, **values)
