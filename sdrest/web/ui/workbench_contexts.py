"""What the templates of the Generate page are given: its form, what fits the chosen model, and what to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sdrest.core.model import Model
from sdrest.web.ui.fields import Field, Option
from sdrest.web.ui.job_contexts import JobCard, Picture
from sdrest.web.ui.preset_choices import Saved
from sdrest.web.ui.tabs import Tab


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNote:
    """What the Generate page says about the chosen model."""

    model: Model | None
    problem: str
    missing: tuple[str, ...]
    #: The model's own defaults as form texts.
    defaults: Mapping[str, str]
    multiple: int
    #: How many things the built-in model draws; 0 for any other.
    demo_things: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraChoice:
    """One LoRA that can be picked."""

    name: str
    label: str
    trigger_words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What fits a model. ``parts`` are choices of files by kind of model; a kind of which nothing fits has none."""

    parts: Mapping[str, tuple[Option, ...]]
    loras: tuple[LoraChoice, ...]
    embeddings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt to try, and the static file of a picture of it."""

    prompt: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterModel:
    """A model set that can be got at the press of a button; sizes in bytes, None where one is not known."""

    set_name: str
    title: str
    about: str
    licence: str
    size_bytes: int | None
    memory_bytes: int | None
    #: Whether this machine has the memory for it.
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoWordsPage:
    """What the built-in model understands, by kind."""

    kinds: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInfoPage:
    """What is written in a picture file; ``file`` is empty before one was given."""

    file: str = ""
    problem: str = ""
    program: str = ""
    digital_source: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    #: The other settings as (name, value).
    settings: Sequence[tuple[str, str]] = ()
    #: Everything that was found, as (name in the file, text).
    texts: Sequence[tuple[str, str]] = ()
    #: Where the form is filled with the settings; empty when there are none, or too many for an address.
    use: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WildcardsPage:
    """The wildcards, one of them, and what a prompt is drawn to."""

    names: Sequence[str]
    name: str = ""
    text: str = ""
    tried: str = ""
    prompts: Sequence[str] = ()
    problem: str = ""
    folder: str = ""
    can_edit: bool = False


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Fields that are folded away together; open when one of them differs from its default or is wrong."""

    title: str
    fields: tuple[Field, ...]
    is_open: bool
    changed: int
    #: The picker of files without which it is of no use, None where there is none.
    needs: Field | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratePage:
    """The Generate page with one of its tabs."""

    tab: Tab
    tabs: Sequence[Tab]
    fields: Mapping[str, Field]
    groups: tuple[FieldGroup, ...]
    note: ModelNote
    offers: Offers
    models: tuple[tuple[str, tuple[Option, ...]], ...]
    lora_rows: Sequence[tuple[str, str]]
    lora_error: str
    saved: Saved
    references: Mapping[str, tuple[Picture, ...]]
    #: The output whose parameters fill the form: ``<job id>/<number>``; empty where there is none.
    varied_from: str
    errors: tuple[str, ...]
    #: Whether the form was filled by the server and not by the page's defaults.
    is_filled: bool
    #: Whether this caller may save presets and templates.
    can_save: bool
    can_generate: bool
    #: Whether a language model is set up to make more of prompts.
    can_expand: bool
    #: What is not here and the tab cannot do without, in words; empty when nothing is missing.
    lack: str
    #: What to try, where nothing was made yet.
    samples: Sequence[Sample]
    is_paused: bool
    card: JobCard | None
    #: The caller's jobs, newest first.
    film: tuple[JobCard, ...]
    #: Why jobs wait for the engine; empty when they do not.
    engine_problem: str
