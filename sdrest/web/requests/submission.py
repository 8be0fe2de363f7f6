"""The one way from a request to a job, whoever asks: the native routes, the pages, other servers' APIs.

A way in is a :class:`Mode`, a table of what it takes and under which names; everything else is done here, once.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec
from aiohttp import web
from PIL import Image
from pydantic import BaseModel

from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.job import Job, JobType
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.names import parse_sampler, parse_scheduler
from sdrest.core.parameters import MAX_SIDE_PX, GenerationParameters, UpscaleParameters, VideoParameters, limits_of
from sdrest.jobs.submission import Parameters, Picture, Submission
from sdrest.net.fetching import WebhookGuard
from sdrest.registry.defaults import defaults_of
from sdrest.web.http.bodies import INLINE_BYTES, Body, idempotency_key, understandable, validate
from sdrest.web.http.keys import DEFAULT_MODEL, HELD, INTAKE, MODELS, PRINCIPAL
from sdrest.web.requests.parameter_bodies import body_model
from sdrest.web.requests.presets import names_saved, with_saved
from sdrest.web.requests.promises import pictures_or_promises

WEBHOOK_GUARD: Final = web.AppKey("webhook_guard", WebhookGuard)

Pictures = Mapping[str, Sequence[Picture]]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
#: Words by which clients leave the choice to the server.
_NO_CHOICE: Final = frozenset({"", "auto", "automatic", "default", "none", "use same sampler", "use same scheduler"})
#: What is made by the picture that is given; the first that is there counts.
_TOLD_BY_PICTURE: Final = (
    ("mask_image", JobType.INPAINT),
    ("control_image", JobType.CONTROLNET),
    ("init_image", JobType.IMG2IMG),
)
#: What is made where the parameters alone tell.
_TOLD_BY_TABLE: Final = {VideoParameters: JobType.VIDEO, UpscaleParameters: JobType.UPSCALE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way in for one kind of job: what it takes, under which names, and what it becomes."""

    #: Written into the job's origin.
    dialect: str
    table: type[Parameters]
    #: Made of the table. A strict way's has the fields under the names of that way, a loose way's under the table's own.
    body: type[Body]
    #: What the client calls a parameter, where that is not the parameter's name.
    names: Mapping[str, str] = field(default_factory=dict)
    #: None: told by the pictures that are given.
    job_type: JobType | None = None
    #: Whether values come as clients of other servers write them: unknown ones are passed over, spellings understood, sides
    #: rounded up to what the model can do.
    is_loose: bool = False

    @classmethod
    def loose(cls, dialect: str, table: type, names: Mapping[str, str] = _NOTHING) -> Mode:
        """A way in of another server's API, which hands its values over under the parameters' names."""
        return cls(
            dialect=dialect,
            table=table,
            body=body_model(f"Loose{table.__name__}", table),
            names=names,
            job_type=_TOLD_BY_TABLE.get(table),
            is_loose=True,
        )

    @property
    def picture_parameters(self) -> Sequence[str]:
        """The parameters that are pictures."""
        return [item.name for item in dataclasses.fields(self.table) if limits_of(item).picture]

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Let problems name fields as the client does.

        Raises:
            InvalidInput: the block did; with the client's names.
        """
        try:
            yield
        except InvalidInput as error:
            raise InvalidInput(
                FieldProblem(self.names.get(problem.field) or self.names.get(head, head) + dot + rest, problem.message)
                for problem in error.problems
                for head, dot, rest in [problem.field.partition(".")]
            ) from None


async def submission(
    request: web.Request,
    mode: Mode,
    values: object,
    *,
    pictures: Pictures = _NOTHING,
    origin: Mapping[str, Any] = _NOTHING,
    warnings: Sequence[str] = (),
    varied_from: str = "",
) -> Submission:
    """What a request asks for, checked field by field, not yet against a model.

    Args:
        request: Who asks, and how the job is to be treated.
        mode: The way in.
        values: What the client sent; its pictures may be among it as texts.
        pictures: The pictures, by parameter, of a way in that reads them itself, or has read them before.
        origin: What the way in wants to know of the job later.
        warnings: What the way in passed over.
        varied_from: The output whose parameters these are, but for the seed: ``<job id>/<number>``.

    Raises:
        InvalidInput: all that is wrong with the values, or with the pictures, as the client names it.
        ModelNotFound: there is no model of that name, which a loose way needs to know.
        ModelUnusable: the file of a preset or template cannot be read.
    """
    if mode.is_loose:
        with mode.naming(), understandable():
            values, understood = _understood(request, mode, values)
            body = await _checked(request, mode, values)
        warnings = (*warnings, *understood)
    else:
        body = await _checked(request, mode, values)
    parameters, given, texts = _parameters_of(body, mode)
    if texts and not pictures:
        with mode.naming():
            pictures = await pictures_or_promises(request, texts)
    return Submission(
        type=mode.job_type or _told_by(pictures),
        parameters=parameters,
        given=given,
        pictures={name: items for name, items in pictures.items() if items},
        principal=request[PRINCIPAL],
        origin={"dialect": mode.dialect, **origin},
        warnings=tuple(warnings),
        varied_from=varied_from,
        **_treatment(request, body),
    )


async def submitted(
    request: web.Request,
    mode: Mode,
    values: object,
    *,
    pictures: Pictures = _NOTHING,
    origin: Mapping[str, Any] = _NOTHING,
    warnings: Sequence[str] = (),
    varied_from: str = "",
) -> Job:
    """The stored job that a request asks for; the arguments are those of :func:`submission`.

    Raises:
        SdrestError: as :func:`submission` and :func:`stored`.
    """
    asked = await submission(
        request, mode, values, pictures=pictures, origin=origin, warnings=warnings, varied_from=varied_from
    )
    return await stored(request, mode, asked)


async def stored(request: web.Request, mode: Mode, asked: Submission) -> Job:
    """Store a job, and let the request's pictures go: they lie on the disk now, and a client may wait long for the job.

    Raises:
        SdrestError: as :meth:`sdrest.jobs.intake.Intake.submit`; fields are named as the client names them.
    """
    with mode.naming():
        job = await request.app[INTAKE].submit(asked)
    # Those that were made of the sent ones go too.
    decoded = [item for items in asked.pictures.values() for item in items if isinstance(item, Image.Image)]
    request[HELD].keep(decoded)
    request[HELD].done_with_pictures()
    return job


def chosen_model(request: web.Request, name: str) -> Model:
    """The model that ``name`` means, or the caller's default one.

    Raises:
        ModelNotFound: there is none of that name.
    """
    if name:
        return request.app[MODELS].catalogue.resolve(name, MAIN_TYPES)
    return request.app[DEFAULT_MODEL].model(request[PRINCIPAL])


# ---------------------------------------------------------------------- values


def _understood(request: web.Request, mode: Mode, values: object) -> tuple[dict[str, Any], list[str]]:
    """Loosely written values as the body takes them, and warnings."""
    assert isinstance(values, Mapping)
    understood, warnings = loosened({name: item for name, item in values.items() if name in mode.body.model_fields})
    if issubclass(mode.table, GenerationParameters):
        model = chosen_model(request, str(understood.get("model") or ""))
        warnings += _fit_size(understood, defaults_of(model).multiple)
    return understood, warnings


def loosened(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values without nulls, with whole numbers as integers, and names spelled as the core spells them; and warnings.

    A sampler name that carries a scheduler (``DPM++ 2M Karras``) sets both, unless a scheduler is given too.
    """
    found = {name: _whole(value) for name, value in values.items() if value is not None}
    warnings: list[str] = []
    for name in ("sampler", "scheduler"):
        if str(found.get(name, "auto")).strip().lower() in _NO_CHOICE:
            found.pop(name, None)
    if "sampler" in found and (known := parse_sampler(str(found["sampler"]))) is not None:
        found["sampler"] = str(known[0])
        if known[1] is not None:
            found.setdefault("scheduler", str(known[1]))
    if "scheduler" in found and parse_scheduler(str(found["scheduler"])) is None:
        warnings.append(f"the scheduler {found['scheduler']!r} is not known here; the model's own is used")
        del found["scheduler"]
    if isinstance(found.get("clip_skip"), int) and found["clip_skip"] <= 1:
        del found["clip_skip"]
    if "loras" in found:
        found["loras"] = loras(found["loras"])
    return found, warnings


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def loras(value: Any) -> list[dict[str, Any]]:
    """LoRAs given as ``[{name|path, multiplier|weight|strength|scale}]``, ``["name"]`` or ``{"name": weight}``.

    Raises:
        InvalidInput: it is none of these.
    """
    if isinstance(value, Mapping):
        return [{"name": name, "multiplier": weight} for name, weight in value.items()]
    if not isinstance(value, list):
        raise InvalidInput("must be a list of {name, multiplier}", field="loras")
    return [_lora(index, item) for index, item in enumerate(value)]


def _lora(index: int, item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"name": item}
    if not isinstance(item, Mapping):
        raise InvalidInput("must be an object with name and multiplier", field=f"loras.{index}")
    name = next((item[key] for key in ("name", "path", "model") if item.get(key)), "")
    lora: dict[str, Any] = {"name": name}
    for key in ("multiplier", "weight", "strength", "scale"):
        if item.get(key) is not None:
            lora["multiplier"] = item[key]
            break
    if item.get("is_high_noise", item.get("high_noise")) is not None:
        lora["high_noise"] = item.get("is_high_noise", item.get("high_noise"))
    return lora


def _fit_size(values: dict[str, Any], multiple: int) -> list[str]:
    """Round sides up to what the model can do: clients of a dialect do not know the model's grid, native ones do."""
    warnings = []
    for name in ("width", "height"):
        value = values.get(name)
        if isinstance(value, int) and 0 < value <= MAX_SIDE_PX and value % multiple:
            values[name] = value + multiple - value % multiple
            warnings.append(f"{name} {value} was raised to {values[name]}: this model needs a multiple of {multiple}")
    return warnings


async def _checked(request: web.Request, mode: Mode, values: object) -> Body:
    """The values as a body, with the preset and templates that they name; on a worker thread when that may take long."""
    if names_saved(values):
        return await asyncio.to_thread(with_saved, mode.body, values, request.app[MODELS].catalogue, mode.names)
    if max(request[HELD].body_bytes, request.content_length or 0) > INLINE_BYTES:
        return await asyncio.to_thread(validate, mode.body, values)
    return validate(mode.body, values)


def _parameters_of(body: Body, mode: Mode) -> tuple[Parameters, frozenset[str], dict[str, list[str]]]:
    """A body's values as parameters, the names that the client set itself, and the texts of picture fields.

    Fields of the body that are no parameters say how the job is to be treated.
    """
    back = {} if mode.is_loose else {there: here for here, there in mode.names.items()}
    fields = {item.name: item for item in dataclasses.fields(mode.table)}
    values: dict[str, Any] = {}
    pictures: dict[str, list[str]] = {}
    for name in body.model_fields_set:
        parameter = fields.get(back.get(name, name))
        if parameter is None:
            continue
        value = getattr(body, name)
        if limits_of(parameter).picture:
            texts = [value] if isinstance(value, str) else list(value)
            if any(texts):
                pictures[parameter.name] = texts
        else:
            values[parameter.name] = _plain(value)
    return msgspec.convert(values, mode.table), frozenset(values), pictures


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in value.model_fields_set}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _told_by(pictures: Pictures) -> JobType:
    return next((job_type for name, job_type in _TOLD_BY_PICTURE if pictures.get(name)), JobType.TXT2IMG)


# ---------------------------------------------------------------------- treatment


def _treatment(request: web.Request, body: Body) -> dict[str, Any]:
    """How the job is to be treated, as fields of a submission: by the body where it has such fields, and by the request's head.

    Raises:
        InvalidInput: endings must not be reported to that address.
    """
    webhook_url: str = getattr(body, "webhook_url", "")
    if webhook_url:
        request.app[WEBHOOK_GUARD].check(webhook_url)
    return {
        "priority": getattr(body, "priority", 0),
        "idempotency_key": getattr(body, "idempotency_key", "") or idempotency_key(request),
        "webhook_url": webhook_url,
        "reuse": getattr(body, "reuse", True) and _may_reuse(request),
    }


def _may_reuse(request: web.Request) -> bool:
    """False when the request says ``Cache-Control: no-cache`` or ``no-store`` (RFC 9111, 5.2.1)."""
    said = {item.strip().lower() for item in request.headers.get("Cache-Control", "").split(",")}
    return not said & {"no-cache", "no-store"}
