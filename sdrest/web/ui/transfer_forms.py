"""The forms by which models come here: their fields, and what is wrong beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.job import JobState, JobType
from sdrest.jobs.listing import JobFilter
from sdrest.registry.folders import FOLDER_KINDS
from sdrest.web.http.keys import JOBS, MODEL_SETS, PRINCIPAL
from sdrest.web.ui.fields import Field, Kind, Option
from sdrest.web.ui.filters import size_text
from sdrest.web.ui.first_steps import starters
from sdrest.web.ui.job_cards import cards_of
from sdrest.web.ui.labels import FOLDER_LABELS, TRANSFER_HELP, field_label
from sdrest.web.ui.languages import _
from sdrest.web.ui.model_page_contexts import AddModels, TransferForm

UPLOAD, DOWNLOAD = "upload", "download"
_FIRST_TYPE: Final = "checkpoints"
_LENGTHS: Final = {"source": 4000, "path": 1000, "sha256": 64}
#: Fields by form, the one first that errors belong to which name none.
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    UPLOAD: ("file", "type", "path", "sha256"),
    DOWNLOAD: ("source", "type", "path", "sha256"),
}
ENDINGS: Final = ",".join(dict.fromkeys(ending for kind in FOLDER_KINDS for ending in kind.extensions))


def form_of(name: str, texts: Mapping[str, str] | None = None, error: SdrestError | None = None) -> TransferForm:
    """A form with ``texts`` (by field, without the form's name) in it, and what an error says of it."""
    problems, rest = _problems(name, error) if error else ({}, ())
    fields = tuple(_field(name, item, (texts or {}).get(item), problems.get(item, "")) for item in _FIELDS[name])
    return TransferForm(name=name, fields=fields, errors=rest)


async def add_models(
    request: web.Request, *, upload: TransferForm | None = None, download: TransferForm | None = None
) -> AddModels:
    """Both forms, and the downloads of this caller that have not ended."""
    wanted = JobFilter(types=(JobType.DOWNLOAD,), states=(JobState.RUNNING, JobState.PENDING), newest_first=False)
    jobs = await request.app[JOBS].find(wanted, request[PRINCIPAL])
    return AddModels(
        upload=upload or form_of(UPLOAD),
        download=download or form_of(DOWNLOAD),
        downloads=await cards_of(request, jobs),
        starters=await starters(request),
        sets=await _sets(request),
        endings=ENDINGS,
    )


async def _sets(request: web.Request) -> tuple[Option, ...]:
    """The model sets, each with the quantisation that fits. Catalogues at addresses are not waited for here."""
    sets = request.app[MODEL_SETS]
    found, _told = await sets.all(fetch=False)
    memory = sets.memory_bytes()
    options = []
    for item in found:
        chosen, _reason = item.choose(memory)
        needs = _("Its size is not known")
        if chosen.memory_bytes is not None:
            needs = _("needs about %(size)s of memory", size=size_text(chosen.memory_bytes))
        options.append(Option(item.name, " · ".join(filter(None, (item.title, chosen.name, needs)))))
    return tuple(options)


def _field(form: str, name: str, text: str | None, error: str) -> Field:
    full = f"{form}.{name}"
    options: tuple[Option, ...] = ()
    default = ""
    if name == "type":
        options = tuple(Option(key, label) for key, label in FOLDER_LABELS.items())
        if form == DOWNLOAD:
            options = (*options, Option("", _("As CivitAI says")))
        default = _FIRST_TYPE
    return Field(
        name=full,
        label=field_label(full),
        help=TRANSFER_HELP[full],
        kind=Kind.CHOICE if options else Kind.LINE,
        value=default if text is None else text,
        default=default,
        max_length=_LENGTHS.get(name),
        options=options,
        error=error,
    )


def _problems(form: str, error: SdrestError) -> tuple[dict[str, str], tuple[str, ...]]:
    """What an error says of the fields, and what is left."""
    names = _FIELDS[form]
    if not isinstance(error, InvalidInput):
        field = str(error.details.get("field", names[0]))
        return {field if field in names else names[0]: error.message}, ()
    known = {problem.field: problem.message for problem in error.problems if problem.field in names}
    return known, tuple(problem.message for problem in error.problems if problem.field not in names)
