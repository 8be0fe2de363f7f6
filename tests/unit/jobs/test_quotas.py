"""What jobs count for, and who may use how much in a day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sdrest.core.errors import QueueFull, QuotaReached
from sdrest.core.job import Failure, Job, JobState, JobType, Output
from sdrest.core.parameters import (
    GenerationParameters,
    HighNoise,
    Hires,
    Inpaint,
    UpscaleParameters,
    VideoFormat,
    VideoParameters,
)
from sdrest.core.principal import ANYONE, Permission, Principal, Role, principal_of
from sdrest.core.use import UNLIMITED, Charge, Limits, Use
from sdrest.jobs.intake import Intake
from sdrest.jobs.quotas import Budget, Quotas, charge_of, check_budget, day_after, settled, today
from sdrest.jobs.submission import Submission
from tests.memory.groups import MemoryGroupStore
from tests.memory.jobs import MemoryJobStore
from tests.unit.jobs.conftest import ANN, BOB, Queue
from tests.unit.jobs.queue_server import unchecked

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FILE = Output(file="image_0.png", media_type="image/png", size_bytes=100)


@pytest.mark.parametrize(
    ("parameters", "picture", "use", "files"),
    [
        (GenerationParameters(width=64, height=128, steps=10), None, (1, 81_920, 24_576), 1),
        (GenerationParameters(width=64, height=64, steps=2, batch_count=3), None, (3, 3 * 8192, 3 * 12_288), 3),
        (GenerationParameters(width=64, height=64, custom_sigmas=(1.0, 0.5, 0.0)), None, (1, 8192, 12_288), 1),
        (
            GenerationParameters(width=64, height=64, steps=2, hires=Hires(enabled=True, scale=2, steps=1)),
            None,
            (1, 2 * 4096 + 16_384, 3 * 16_384),
            1,
        ),
        (GenerationParameters(width=64, height=64, steps=1, upscale_model="x"), None, (1, 4096, 3 * 256 * 256), 1),
        (
            GenerationParameters(width=64, height=64, steps=1, inpaint=Inpaint(only_masked=True)),
            (512, 256),
            (1, 4096, 3 * 512 * 256),
            1,
        ),
        (VideoParameters(width=64, height=64, steps=1, video_frames=5), None, (5, 5 * 4096, 5 * 12_288), 1),
        (
            VideoParameters(width=64, height=64, steps=1, video_frames=5, video_format=VideoFormat.FRAMES),
            None,
            (5, 5 * 4096, 5 * 12_288),
            5,
        ),
        (
            VideoParameters(width=64, height=64, steps=1, video_frames=5, high_noise=HighNoise(steps=2)),
            None,
            (5, 5 * 3 * 4096, 5 * 12_288),
            1,
        ),
        (GenerationParameters(width=64, height=64, steps=1), (512, 256), (1, 4096, 12_288), 1),
        (UpscaleParameters(upscale_factor=2), (10, 20), (1, 800, 2400), 1),
        (UpscaleParameters(upscale_factor=2), None, (1, 0, 0), 1),
    ],
)
def test_a_job_counts_for_its_pictures_their_steps_and_their_unpacked_size(
    parameters: GenerationParameters, picture: tuple[int, int] | None, use: tuple[int, int, int], files: int
) -> None:
    charge = charge_of(parameters, "key:ci", picture)
    assert charge == Charge(use=Use(images=use[0], pixel_steps=use[1], bytes=use[2]), files=files, key="key:ci")


def ended(state: JobState, made: int, *, begun: bool = True, failure: str = "") -> Job:
    """A job of four pictures after its end."""
    return Job(
        id="a",
        type=JobType.TXT2IMG,
        state=state,
        created_at=NOON,
        started_at=NOON if begun else None,
        outputs=tuple(replace(FILE, file=f"image_{number}.png") for number in range(made)),
        failure=Failure(slug=failure, message="m") if failure else None,
        charge=Charge(use=Use(images=4, pixel_steps=4000, bytes=9999), files=4),
    )


@pytest.mark.parametrize(
    ("job", "images"),
    [
        (ended(JobState.COMPLETED, 4), 4),
        (ended(JobState.COMPLETED, 3), 4),  # one was skipped: that was asked for as well
        (ended(JobState.CANCELLED, 0, begun=False), 0),
        (ended(JobState.CANCELLED, 0), 1),
        (ended(JobState.CANCELLED, 2), 3),
        (ended(JobState.CANCELLED, 4), 4),
        (ended(JobState.FAILED, 0, failure="engine_died"), 0),
        (ended(JobState.FAILED, 1, failure="engine_died"), 1),
        (ended(JobState.FAILED, 0, failure="insufficient_storage"), 0),
        (ended(JobState.FAILED, 0, failure="source_failed", begun=False), 0),
        (ended(JobState.FAILED, 0, failure="flat_picture"), 4),
    ],
)
def test_what_an_ended_job_did_not_come_to_is_given_back(job: Job, images: int) -> None:
    assert settled(job) == Use(images=images, pixel_steps=1000 * images, bytes=100 * len(job.outputs))


def test_a_refusal_names_the_quota_what_is_used_and_when_it_is_free_again() -> None:
    budget = Budget("ann", Limits(images=10, pixel_steps=2_500_000, bytes=0))
    check_budget(budget, used=Use(images=7, bytes=10**12), asked=Use(images=3, pixel_steps=2_500_000), now=NOON)
    with pytest.raises(QuotaReached) as caught:
        check_budget(budget, used=Use(images=8), asked=Use(images=3), now=NOON)
    assert caught.value.message == (
        "you have used 8 of 10 pictures a day, and this needs 3; all are free again at 2026-01-03 00:00 UTC"
    )
    assert caught.value.details == {
        "retry_after_seconds": 43_201,
        "quota": "images_per_day",
        "subject": "ann",
        "used": 8,
        "limit": 10,
        "needed": 3,
        "free_at": "2026-01-03T00:00:00.000Z",
    }
    with pytest.raises(
        QuotaReached, match=r"has used 0 of 2.5 megapixel steps a day, and this needs 3; it is more than"
    ):
        check_budget(replace(budget, subject="key:ci"), used=Use(), asked=Use(pixel_steps=3_000_000), now=NOON)
    assert isinstance(caught.value, QueueFull)
    with pytest.raises(QuotaReached, match="all are free again") as caught:  # a whole day's is not more than that
        check_budget(budget, used=Use(pixel_steps=500_000), asked=Use(pixel_steps=2_500_000), now=NOON)
    assert [caught.value.details[name] for name in ("used", "limit", "needed")] == [0.5, 2.5, 2.5]


def test_a_day_is_one_of_utc() -> None:
    late = datetime.fromisoformat("2026-01-02T23:30:00-02:00")
    assert today(late).isoformat() == "2026-01-03"
    assert day_after(late) == datetime(2026, 1, 4, tzinfo=UTC)


async def test_own_limits_go_before_those_of_everybody() -> None:
    store = MemoryJobStore().quotas
    quotas = Quotas(store, Limits(images=5, pixel_steps=7, bytes=0))
    everybody = Limits(images=5, pixel_steps=7, bytes=0)
    key = replace(ANN, key="key:ci", method="api-key")
    admin = principal_of("root", Role.ADMIN, "jwt")
    assert await quotas.of(ANN) == [Budget("ann", everybody)]
    assert await quotas.of(key) == [Budget("ann", everybody), Budget("key:ci", UNLIMITED)]
    assert await quotas.of(admin) == [Budget("root", UNLIMITED)]
    assert await quotas.of(ANYONE) == ()
    assert await Quotas().of(ANN) == ()
    await store.set_limits("ann", Limits(images=0, bytes=9))
    await store.set_limits("key:ci", Limits(images=2))
    await store.set_limits("root", Limits(images=1))
    own, of_key = await quotas.of(key)
    assert own.limits == Limits(images=0, pixel_steps=7, bytes=9)
    assert of_key.limits == Limits(images=2, pixel_steps=0, bytes=0)
    assert (await quotas.of(admin))[0].limits.images == 1


@pytest.fixture
def intake(queue: Queue) -> Intake:
    """Two pictures a day, as many jobs as one likes."""
    quotas = Quotas(queue.store.quotas, Limits(images=2, pixel_steps=0, bytes=0))
    return Intake(queue.service, unchecked, MemoryGroupStore(queue.store), max_pending=99, quotas=quotas)


async def asked(intake: Intake, principal: Principal, **fields: Any) -> Job:
    parameters = GenerationParameters(prompt="a", **fields)
    return await intake.submit(
        Submission(type=JobType.TXT2IMG, parameters=parameters, principal=principal, reuse=False)
    )


async def images(queue: Queue, subject: str) -> int:
    found = await queue.store.quotas.used(today(queue.clock()), [subject])
    return found[0].use.images if found else 0


async def test_jobs_count_from_their_acceptance_on_and_each_user_for_itself(queue: Queue, intake: Intake) -> None:
    first = await asked(intake, ANN)
    await asked(intake, ANN)
    with pytest.raises(QuotaReached, match="2 of 2 pictures a day"):
        await asked(intake, ANN)
    await asked(intake, BOB, batch_count=2)
    assert (await images(queue, "ann"), await images(queue, "bob")) == (2, 2)
    assert len(queue.spool()) == 0
    await queue.service.cancel(first.id, ANN)
    assert await images(queue, "ann") == 1
    await intake.retry(first.id, ANN)
    with pytest.raises(QuotaReached):
        await intake.retry(first.id, ANN)
    assert intake._quotas.refused == {"images": 2, "megapixel_steps": 0, "bytes": 0}


async def test_a_key_counts_for_its_owner_and_for_itself(queue: Queue, intake: Intake) -> None:
    key = replace(ANN, key="key:ci", method="api-key")
    await queue.store.quotas.set_limits("key:ci", Limits(images=1))
    await asked(intake, key)
    with pytest.raises(QuotaReached, match="the API key 'ci' has used 1 of 1 pictures"):
        await asked(intake, key)
    await asked(intake, ANN)
    with pytest.raises(QuotaReached, match="you have used 2 of 2"):
        await asked(intake, ANN)
    assert [(item.subject, item.owner) for item in await queue.store.quotas.used(today(queue.clock()))] == [
        ("ann", ""),
        ("key:ci", "ann"),
    ]


async def test_who_tries_somebody_elses_job_again_does_it_on_their_account(queue: Queue, intake: Intake) -> None:
    job = await asked(intake, ANN)
    await queue.service.cancel(job.id, ANN)
    root = replace(principal_of("root", Role.ADMIN, "api-key"), key="key:root")
    assert root.may(Permission.MANAGE_QUEUE)
    again = await intake.retry(job.id, root)
    assert again.charge is not None
    assert (again.principal, again.charge.key) == ("ann", "")
    assert (await images(queue, "ann"), await images(queue, "root"), await images(queue, "key:root")) == (1, 0, 0)


async def test_nothing_is_counted_where_nobody_says_who_they_are(queue: Queue, intake: Intake) -> None:
    for _ in range(3):
        job = await asked(intake, ANYONE)
        assert job.charge is None
    assert await queue.store.quotas.used(today(queue.clock())) == []
