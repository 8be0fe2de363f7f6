"""What the templates of the model pages are given."""

from __future__ import annotations

from dataclasses import dataclass

from sdrest.core.model import Model
from sdrest.registry.validate import Validation
from sdrest.web.requests.model_facts import ModelFacts
from sdrest.web.ui.fields import Field, Option
from sdrest.web.ui.job_contexts import JobCard, Picture
from sdrest.web.ui.page_contexts import Fact
from sdrest.web.ui.workbench_contexts import StarterModel
from sdrest.work.hubs.values import Answer, HubFile, HubModel, Newer


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferForm:
    """A form by which a model comes here; ``errors`` is what is wrong and belongs to no field."""

    name: str
    fields: tuple[Field, ...]
    errors: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether something is wrong with what was sent."""
        return bool(self.errors) or any(field.error for field in self.fields)

    def field(self, name: str) -> Field:
        """One of the fields."""
        return next(field for field in self.fields if field.name == f"{self.name}.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddModels:
    """Both ways to add a model, and the downloads that have not ended."""

    upload: TransferForm
    download: TransferForm
    downloads: tuple[JobCard, ...]
    starters: tuple[StarterModel, ...]
    #: Model sets by name, with what would be pulled.
    sets: tuple[Option, ...]
    #: Endings of file names that are taken.
    endings: str

    @property
    def is_open(self) -> bool:
        """Whether the forms are shown at once."""
        return bool(self.downloads) or self.upload.is_wrong or self.download.is_wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsPage:
    """Registered models by type."""

    models: tuple[Model, ...]
    loaded: frozenset[str]
    default_id: str
    total: int
    total_size: int
    #: Type slug, label, number.
    types: tuple[tuple[str, str, int], ...]
    type: str
    search: str
    sort: str
    sorts: tuple[Option, ...]
    page: int
    pages: int
    here: str
    folder: str
    #: What the last look through the folders left out; told to those who may manage models.
    skipped: tuple[str, ...]
    can_manage: bool
    #: None for those who may not add models, and where only the list is drawn.
    add: AddModels | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentRow:
    """One part that a model takes, and what is here of it."""

    name: str
    #: Whether the model cannot be loaded for want of it.
    required: bool
    reason: str
    embedded: bool
    candidates: tuple[Model, ...]

    @property
    def present(self) -> bool:
        """Whether the part can be had here."""
        return self.embedded or bool(self.candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionPreview:
    """What a conversion would write."""

    #: Name of the file.
    name: str
    size: int
    source_size: int
    free_space: int
    #: Element types of the result with their number of tensors.
    types: tuple[tuple[str, int], ...]
    total: int
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.size < self.free_space


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertForm:
    """The form for a conversion, with its preview where one was asked for and can be made."""

    fields: tuple[Field, ...]
    preview: ConversionPreview | None
    #: What is wrong and belongs to no field.
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTools:
    """What can be done with a model's file. ``convert`` is None where this caller, server or model has no conversion."""

    verdict: Validation | None
    can_validate: bool
    can_hash: bool
    can_test_loading: bool
    convert: ConvertForm | None


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known of a model beside its file, and what this caller can do about it."""

    facts: ModelFacts
    #: Pictures by this model, newest first.
    pictures: tuple[Picture, ...]
    #: Whether notes and a picture can be written beside it.
    can_write: bool
    #: Whether a picture of a text can be asked for.
    can_paint: bool
    can_measure: bool
    #: Whether it came with the program.
    is_builtin: bool
    #: Types that it can be converted to for a comparison, of those that are not here.
    offered: tuple[str, ...]
    sample_prompt: str
    #: What the Generate page's prompt is filled with to use this file; empty where there is nothing to fill in.
    try_prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparePage:
    """A model and the same in another quantisation: what is still to be done, or both pictures."""

    model: Model
    #: None: not here yet.
    other: Model | None
    #: The type that is wanted; empty where none was chosen.
    wanted: str
    offered: tuple[str, ...]
    variants: tuple[Model, ...]
    #: The conversion that makes the other one, or that has failed to.
    conversion: JobCard | None
    can_convert: bool
    left: JobCard | None
    right: JobCard | None
    prompt: str
    seed: str
    #: This page without its jobs.
    here: str

    @property
    def is_waiting(self) -> bool:
        """Whether something is on its way that this page shows."""
        cards = (self.conversion, self.left, self.right)
        return any(card is not None and not card.job.is_finished for card in cards)

    @property
    def pair(self) -> tuple[Picture, Picture] | None:
        """Both pictures, once they are there."""
        left, right = (card.pictures if card else () for card in (self.left, self.right))
        return (left[0], right[0]) if left and right else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPage:
    """One model with everything its header tells."""

    model: Model
    type_label: str
    facts: tuple[Fact, ...]
    tensor_types: tuple[tuple[str, int, int], ...]
    components: tuple[ComponentRow, ...]
    is_main: bool
    #: Whether it is a preset or a prompt template.
    is_text: bool
    is_loaded: bool
    is_default: bool
    memory_bytes: int
    #: What the unloading just done has freed; empty otherwise.
    freed: str
    can_manage: bool
    tools: ModelTools
    about: About


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRow:
    """A model on a hub, and what of it fits this machine."""

    model: HubModel
    fits: Answer
    files: tuple[tuple[HubFile, Answer], ...]
    more_files: int
    previews: tuple[str, ...]
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPage:
    """A search on the hubs."""

    query: str
    hub: str
    hubs: tuple[Option, ...]
    type: str
    types: tuple[Option, ...]
    #: Whether only what runs here and fits the memory is shown.
    fitting: bool
    was_sent: bool
    rows: tuple[HubRow, ...]
    hidden: int
    problems: tuple[str, ...]
    #: Where the next page is; empty when this is the last.
    more: str
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HubUpdatesPage:
    """What the hubs have that is newer than what is here."""

    #: The only one that was checked; None: all whose origin is known.
    model: Model | None
    newer: tuple[tuple[Model, Newer], ...]
    problems: tuple[tuple[Model, str], ...]
    checked: int
