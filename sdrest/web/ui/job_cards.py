"""Jobs and their files as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from sdrest.core.job import TERMINAL_STATES, Job, JobState, Output
from sdrest.core.principal import Permission
from sdrest.jobs.store import JobFilter
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.requests.results import output_url
from sdrest.web.ui.fields import texts_of
from sdrest.web.ui.filters import progress_text
from sdrest.web.ui.labels import JOB_LABELS, STATE_LABELS, field_label
from sdrest.web.ui.page_contexts import JobCard, Picture
from sdrest.web.ui.tabs import TABS

#: Side of the thumbnails in pixels: sharp on dense screens at the size at which they are shown.
_THUMB_PX: Final = 320
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
_HIDDEN: Final = frozenset({"model", "seed", "embed_metadata", "preview"})


def pictures_of(job: Job) -> tuple[Picture, ...]:
    """The finished files of a job."""
    return tuple(picture_of(job, output) for output in job.outputs)


def picture_of(job: Job, output: Output) -> Picture:
    """One finished file of a job."""
    url = output_url(job.id, output.file)
    is_image = output.media_type.startswith("image/")
    prompt = str(job.parameters.get("prompt", "")).strip()
    return Picture(
        job_id=job.id,
        file=output.file,
        url=url,
        thumb=f"{url}?thumb=1&size={_THUMB_PX}" if is_image else url,
        detail=f"/ui/gallery/{job.id}/{quote(output.file)}",
        reference=f"job:{job.id}/{output.file}",
        media_type=output.media_type,
        width=output.width,
        height=output.height,
        seed=output.seed,
        alt=(prompt[:200] or JOB_LABELS[job.type]) + (f", seed {output.seed}" if output.seed is not None else ""),
    )


async def card_of(request: web.Request, job: Job) -> JobCard:
    """A job's card for this caller."""
    jobs = request.app[JOBS]
    progress = jobs.progress(job)
    cancelling = job.state is JobState.RUNNING and job.cancel_requested_at is not None
    return JobCard(
        job=job,
        title=TABS["edit"].title if job.parameters.get("ref_images") else JOB_LABELS[job.type],
        prompt=str(job.parameters.get("prompt", "")).strip(),
        state_label=STATE_LABELS[job.state],
        progress_text=progress_text(progress, cancelling=cancelling),
        percent=round(100 * progress.fraction, 1),
        position=await jobs.store.position(job.id) if job.state is JobState.PENDING else None,
        cancelling=cancelling,
        pictures=pictures_of(job),
        can_reorder=request[PRINCIPAL].may(Permission.MANAGE_QUEUE),
    )


async def cards_of(request: web.Request, found: Iterable[Job]) -> tuple[JobCard, ...]:
    """The cards of several jobs."""
    return tuple([await card_of(request, job) for job in found])


async def recent_pictures(request: web.Request, number: int) -> tuple[Picture, ...]:
    """The caller's newest files, newest first."""
    wanted = JobFilter(states=TERMINAL_STATES, with_outputs=True, limit=number)
    found = await request.app[JOBS].find(wanted, request[PRINCIPAL])
    return tuple(picture for job in found for picture in pictures_of(job))[:number]


def parameter_rows(
    parameters: Mapping[str, Any], *, model_name: str, defaults: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Parameters as (label, value), the usual ones first; of the others those that are not at their default."""
    shown = texts_of(parameters)
    rows = [("Model", model_name)] if model_name else []
    if shown.get("width"):
        rows.append(("Size", f"{shown['width']} × {shown.get('height', '')} px"))
    rows += [(field_label(name), shown[name]) for name in _FIRST[4:] if shown.get(name)]
    for lora in parameters.get("loras") or ():
        rows.append(("LoRA", f"{lora.get('name')} × {lora.get('multiplier', 1):g}"))
    rows += [
        (field_label(name), text)
        for name, text in shown.items()
        if name not in _FIRST and name not in _HIDDEN and name != "loras" and text not in {"", defaults.get(name)}
    ]
    return tuple(rows)
