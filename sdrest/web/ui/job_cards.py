"""Jobs and their files as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import web

from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.core.names import Sampler, Scheduler
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.submission import Promised
from sdrest.web.http.keys import JOBS, PRINCIPAL, ROSTER
from sdrest.web.requests.job_views import preview_view
from sdrest.web.requests.pictures import INPUT_PREFIX
from sdrest.web.requests.results import output_url
from sdrest.web.ui.fields import choice_label, texts_of
from sdrest.web.ui.filters import progress_text
from sdrest.web.ui.job_contexts import JobCard, Picture
from sdrest.web.ui.labels import JOB_LABELS, STATE_LABELS, field_label
from sdrest.web.ui.languages import _
from sdrest.web.ui.tabs import TABS

#: Side of the thumbnails in pixels: sharp on dense screens at the size at which they are shown.
_THUMB_PX: Final = 320
#: Longest side of a large picture on a page; its file itself is a click away.
_SHOWN_PX: Final = 1024
#: Jobs in the film strip.
_FILM_LENGTH: Final = 30
_LARGE_PIXELS: Final = 512 * 512
#: Parameters worth showing first, in this order.
_FIRST: Final = (
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "steps",
    "cfg_scale",
    "guidance",
    "sampler",
    "scheduler",
)
#: Parameters that are files of the job, of no meaning outside it.
_HIDDEN: Final = frozenset({"dynamic_prompts", "model", "seed", "embed_metadata", "preview"})


def pictures_of(job: Job) -> tuple[Picture, ...]:
    """The finished files of a job."""
    return tuple(picture_of(job, output) for output in job.outputs)


def tab_slug_of(job: Job) -> str:
    """The tab of the Generate page that makes jobs like this one; empty for jobs that are made elsewhere."""
    if job.parameters.get("ref_images"):
        return "edit"
    return str(job.type) if job.type in TABS else ""


def reuse_url(job: Job, file: str = "") -> str:
    """Where the form is filled with a job's parameters, and with the seed of one of its files; empty where there is no form."""
    slug = tab_slug_of(job)
    query = {"job": job.id, **({"file": file} if file else {})}
    return f"/ui/generate/{slug}?{urlencode(query)}" if slug else ""


def input_picture(job: Job, file: str) -> Picture:
    """A picture that a job was given."""
    url = f"/ui/jobs/{job.id}/input/{quote(file)}"
    return Picture(
        job_id=job.id,
        file=file,
        url=url,
        thumb=url,
        shown=url,
        detail=f"/ui/jobs/{job.id}",
        reference=f"job:{job.id}/{INPUT_PREFIX}{file}",
        media_type="image/png",
        width=0,
        height=0,
        seed=None,
        alt=_("Picture that an earlier job was given"),
        reuse="",
    )


def promised_picture(promise: Promised) -> Picture:
    """A picture that a job is still to make: an empty frame of its size."""
    frame = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {promise.width} {promise.height}">'
        '<rect width="100%" height="100%" fill="#8884"/></svg>'
    )
    page = f"/ui/jobs/{promise.job_id}"
    return Picture(
        job_id=promise.job_id,
        file=str(promise.index),
        url=page,
        thumb=f"data:image/svg+xml,{quote(frame)}",
        shown=page,
        detail=page,
        reference=f"job:{promise.job_id}/{promise.index}",
        media_type="image/png",
        width=promise.width,
        height=promise.height,
        seed=None,
        alt=_("The picture of a job that has not made it yet"),
        reuse="",
    )


def picture_of(job: Job, output: Output) -> Picture:
    """One finished file of a job."""
    url = output_url(job.id, output.file)
    is_image = output.media_type.startswith("image/")
    said = str(job.parameters.get("prompt", "")).strip()[:200] or JOB_LABELS[job.type]
    return Picture(
        job_id=job.id,
        file=output.file,
        url=url,
        thumb=f"{url}?thumb=1&size={_THUMB_PX}" if is_image else url,
        shown=f"{url}?thumb=1&size={_SHOWN_PX}" if _is_large_still(output) else url,
        detail=f"/ui/gallery/{job.id}/{quote(output.file)}",
        reference=f"job:{job.id}/{output.file}",
        media_type=output.media_type,
        width=output.width,
        height=output.height,
        seed=output.seed,
        alt=said if output.seed is None else _("%(prompt)s, seed %(number)s", prompt=said, number=output.seed),
        reuse=reuse_url(job, output.file),
    )


def _is_large_still(output: Output) -> bool:
    """Whether a page is better served with a smaller JPEG; animations (``video_…``) have one file only."""
    return output.file.startswith("image_") and output.width * output.height > _LARGE_PIXELS


async def card_of(request: web.Request, job: Job) -> JobCard:
    """A job's card for this caller."""
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    progress = jobs.progress(job)
    preview = jobs.preview(job) if job.state is JobState.RUNNING else None
    cancelling = job.state is JobState.RUNNING and job.cancel_requested_at is not None
    return JobCard(
        job=job,
        title=_(TABS["edit"].title) if job.parameters.get("ref_images") else JOB_LABELS[job.type],
        prompt=str(job.parameters.get("prompt", "")).strip(),
        state_label=STATE_LABELS[job.state],
        progress_text=progress_text(progress, cancelling=cancelling),
        percent=round(100 * progress.fraction, 1),
        position=await jobs.store.position(job.id) if job.state is JobState.PENDING else None,
        cancelling=cancelling,
        pictures=pictures_of(job),
        before=_before(job),
        preview=str(preview_view(preview)["image"]) if preview else "",
        width=job.parameters.get("width") or 0,
        height=job.parameters.get("height") or 0,
        paused=job.state is JobState.PENDING and await jobs.is_paused(),
        waits_because=request.app[ROSTER].problem_of(job),
        reuse=reuse_url(job),
        promises=bool(tab_slug_of(job)) and not job.is_finished and job.type is not JobType.VIDEO,
        can_generate=principal.may(Permission.GENERATE),
        can_reorder=principal.may(Permission.MANAGE_QUEUE),
    )


def _before(job: Job) -> str:
    given = next(
        (job.parameters[name] for name in ("init_image", "image", "ref_images") if job.parameters.get(name)), ""
    )
    file = given if isinstance(given, str) else given[0]
    return input_picture(job, file).url if file else ""


async def cards_of(request: web.Request, found: Iterable[Job]) -> tuple[JobCard, ...]:
    """The cards of several jobs."""
    return tuple([await card_of(request, job) for job in found])


async def film_of(request: web.Request) -> tuple[JobCard, ...]:
    """The caller's newest jobs that the Generate page makes, whatever became of them; newest first."""
    principal = request[PRINCIPAL]
    types = {tab.job_type for tab in TABS.values()}
    wanted = JobFilter(types=types, principal=principal.name, kept=True, limit=_FILM_LENGTH)
    return await cards_of(request, await request.app[JOBS].find(wanted, principal))


def parameter_rows(
    parameters: Mapping[str, Any], *, model_name: str, defaults: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Parameters as (label, value), the usual ones first; of the others those that are not at their default."""
    shown = texts_of(parameters)
    rows = [(_("Model"), model_name)] if model_name else []
    if shown.get("width"):
        rows.append((_("Size"), f"{shown['width']} × {shown.get('height', '')} px"))
    rows += [(field_label(name), _choice_text(name, shown[name])) for name in _FIRST[4:] if shown.get(name)]
    for lora in parameters.get("loras") or ():
        rows.append(("LoRA", f"{lora.get('name')} × {lora.get('multiplier', 1):g}"))
    rows += [
        (field_label(name), text)
        for name, text in shown.items()
        if name not in _FIRST and name not in _HIDDEN and name != "loras" and text not in {"", defaults.get(name)}
    ]
    return tuple(rows)


def _choice_text(name: str, text: str) -> str:
    """A sampler or scheduler as the form calls it."""
    kinds = {"sampler": Sampler, "scheduler": Scheduler}
    if name in kinds and text in kinds[name].__members__.values():
        return choice_label(kinds[name](text))
    return text
