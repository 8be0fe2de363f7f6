"""Quotas: how much a user or an API key may have made in a day, and what a job counts for.

A job counts when it is accepted, in the transaction that stores it, with what it asks for; its files with the size that they would
have unpacked. When it has ended, what it did not come to is given back (:func:`settled`). A day is one of UTC: that in which the
job was accepted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sdrest.core.errors import FlatPicture, InvalidInput, QuotaReached, Unsupported
from sdrest.core.job import Job, JobState
from sdrest.core.parameters import UpscaleParameters, VideoFormat, VideoParameters
from sdrest.core.principal import Permission, Principal
from sdrest.core.use import KINDS, MEGA, UNLIMITED, Charge, Limits, Use
from sdrest.jobs.quota_store import QuotaStore
from sdrest.jobs.submission import Parameters, Picture

#: How long numbers of past days are kept.
KEPT_DAYS: Final = 62
#: Failures that the request itself brought about: they count.
_CALLERS_FAULT: Final = frozenset({FlatPicture.slug, InvalidInput.slug, Unsupported.slug})
_BYTES_PER_PIXEL: Final = 3
#: How amounts are told, by kind: divided by the number, and called so.
_TOLD: Final = {"images": (1, "pictures"), "pixel_steps": (MEGA, "megapixel steps"), "bytes": (MEGA, "MB of files")}
#: How the kinds are called where they are set and shown.
NAMES: Final = {"images": "images", "pixel_steps": "megapixel_steps", "bytes": "bytes"}


@dataclass(frozen=True, slots=True)
class Budget:
    """Who may use how much in a day; in these limits nothing is left open."""

    subject: str
    limits: Limits


def today(now: datetime) -> date:
    """The day that counts."""
    return now.astimezone(UTC).date()


def day_after(now: datetime) -> datetime:
    """When the next day begins that counts."""
    return datetime.combine(today(now) + timedelta(days=1), time(), UTC)


def charge_of(parameters: Parameters, key: str = "", picture: tuple[int, int] | None = None) -> Charge:
    """What a job with these parameters is counted with.

    Args:
        parameters: What is asked for, complete.
        key: The API key, as in :class:`Charge`.
        picture: Width and height of the initial picture, or of the one to enlarge, in pixels, where there is one.
    """
    if isinstance(parameters, UpscaleParameters):
        width, height = picture or (0, 0)
        pixels = round(width * parameters.upscale_factor) * round(height * parameters.upscale_factor)
        return Charge(use=Use(images=1, pixel_steps=pixels, bytes=pixels * _BYTES_PER_PIXEL), key=key)
    images = files = parameters.batch_count
    steps = len(parameters.custom_sigmas) - 1 if parameters.custom_sigmas else parameters.steps
    second = 0
    if parameters.hires.enabled:
        width, height = parameters.sampled_size
        second = (parameters.hires.steps or steps) * width * height
    if isinstance(parameters, VideoParameters):
        images = parameters.video_frames
        files = images if parameters.video_format is VideoFormat.FRAMES else 1
        steps += max(0, parameters.high_noise.steps)
    width, height = parameters.final_size
    pixels = width * height
    if parameters.inpaint.only_masked and picture is not None:
        pixels = picture[0] * picture[1]
    use = Use(
        images=images,
        pixel_steps=images * (steps * parameters.width * parameters.height + second),
        bytes=images * pixels * _BYTES_PER_PIXEL,
    )
    return Charge(use=use, files=files, key=key)


def counted_for(jobs: Sequence[Job]) -> list[tuple[str, str, Use]]:
    """Whom jobs of one principal count for that have a charge: each subject with whose key it is (or nothing), and their sum."""
    sums: dict[tuple[str, str], Use] = {}
    for job in jobs:
        if job.charge is not None:
            who = [(job.principal, ""), *([(job.charge.key, job.principal)] if job.charge.key else [])]
            for subject in who:
                sums[subject] = sums.get(subject, Use()) + job.charge.use
    # In order, so that two changes do not wait for each other.
    return [(*subject, use) for subject, use in sorted(sums.items(), key=lambda item: item[0])]


def settled(job: Job) -> Use:
    """What an ended job has used: all that it was counted with, or the part for the files that it has made.

    That is where it never began, or failed through no fault of the request. One that was cancelled while it ran counts for one more
    file: that was being made. Its files count with the size that they have.
    """
    assert job.charge is not None
    counted, files = job.charge.use, job.charge.files
    made = min(len(job.outputs), files)
    if job.state is JobState.COMPLETED or (job.failure is not None and job.failure.slug in _CALLERS_FAULT):
        made = files
    elif job.state is JobState.CANCELLED and job.started_at is not None:
        made = min(made + 1, files)
    size = sum(output.size_bytes for output in job.outputs)
    return Use(images=counted.images * made // files, pixel_steps=counted.pixel_steps * made // files, bytes=size)


def check_budget(budget: Budget, *, used: Use, asked: Use, now: datetime) -> None:
    """Refuse what goes beyond what somebody may use in a day.

    Raises:
        QuotaReached: naming the first kind that would be passed, what is used of it, and when it is free again.
    """
    for kind in KINDS:
        limit, before, wanted = getattr(budget.limits, kind) or 0, getattr(used, kind), getattr(asked, kind)
        if not limit or before + wanted <= limit:
            continue
        free_at = day_after(now)
        whose = f"the API key {budget.subject[4:]!r} has" if budget.subject.startswith("key:") else "you have"
        one, what = _TOLD[kind]
        share = f"{_number(before, one)} of {_number(limit, one)} {what} a day"
        when = (
            "it is more than a whole day's" if wanted > limit else f"all are free again at {free_at:%Y-%m-%d %H:%M} UTC"
        )
        raise QuotaReached(
            f"{whose} used {share}, and this needs {_number(wanted, one)}; {when}",
            retry_after_seconds=max(1, int((free_at - now).total_seconds()) + 1),
            quota=f"{NAMES[kind]}_per_day",
            subject=budget.subject,
            used=amount(before, kind),
            limit=amount(limit, kind),
            needed=amount(wanted, kind),
            free_at=f"{free_at:%Y-%m-%dT%H:%M:%S}.000Z",
        )


def amount(number: int, kind: str) -> float:
    """A number as it is shown and set."""
    return number / MEGA if kind == "pixel_steps" else number


def _number(number: int, one: int) -> str:
    return f"{number / one:.2f}".rstrip("0").rstrip(".")


class Quotas:
    """Who may use how much, and what was refused for it.

    Args:
        store: Where limits are; None: nothing is counted.
        usual: What everybody may use who does not manage the queue.
    """

    def __init__(self, store: QuotaStore | None = None, usual: Limits = UNLIMITED) -> None:
        self._store = store
        #: What everybody may use who does not manage the queue, and has no limits of their own.
        self.usual = usual
        #: How often each kind was refused since the start, by the names of :data:`NAMES`.
        self.refused = dict.fromkeys(NAMES.values(), 0)

    def charge(
        self, parameters: Parameters, principal: Principal, pictures: Sequence[Picture] | None = None
    ) -> Charge | None:
        """What a job counts with; None where nobody has to say who they are, for then nothing is counted.

        Args:
            parameters: What is asked for, complete.
            principal: Who asks.
            pictures: The picture that it begins with, or that is to be enlarged, if there is one.
        """
        if self._store is None or principal.method == "none":
            return None
        return charge_of(parameters, principal.key, pictures[0].size if pictures else None)

    def charge_again(self, old: Job, parameters: Parameters, principal: Principal) -> Charge | None:
        """What an ended job counts with that is tried again: it counts for whose it is."""
        charge = self.charge(parameters, principal)
        if charge is None:
            return None
        return replace(old.charge or charge, key=principal.key if principal.name == old.principal else "")

    async def of(self, principal: Principal) -> Sequence[Budget]:
        """All that the principal has to keep to: its own, then that of the API key that speaks for it.

        Who manages the queue may use any amount, and so may a key within what its owner may, but for limits of their own.
        """
        if self._store is None or principal.method == "none":
            return ()
        subjects = (principal.name, principal.key) if principal.key else (principal.name,)
        own = await self._store.limits(subjects)
        usual = UNLIMITED if principal.may(Permission.MANAGE_QUEUE) else self.usual
        return [
            Budget(subject, own.get(subject, Limits()).over(usual if subject == principal.name else UNLIMITED))
            for subject in subjects
        ]

    @asynccontextmanager
    async def budgets(self, principal: Principal) -> AsyncIterator[Sequence[Budget]]:
        """What jobs of the principal have to keep to that are being added; counts a refusal."""
        budgets = await self.of(principal)
        try:
            yield budgets
        except QuotaReached as error:
            self.refused[str(error.details["quota"]).removesuffix("_per_day")] += 1
            raise
