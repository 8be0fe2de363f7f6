"""What every store keeps for the gallery: pages, searches, bins and marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from sdrest.core.job import Binned, Job, JobState
from sdrest.jobs.listing import JobFilter, JobOrder, Place, place_of
from sdrest.jobs.marks import FAVOURITE, FileId, Mark, MarkStore
from sdrest.jobs.store import Ending, JobStore
from tests.unit.storage.test_job_store import COMPLETED, LATER, NOW, PICTURE, added, ended

SECOND = replace(PICTURE, file="image_1.png", seed=8)
TWO = replace(COMPLETED, outputs=(PICTURE, SECOND))


async def ids(store: JobStore, **wanted: object) -> list[str]:
    return [job.id for job in await store.find(JobFilter(**wanted))]  # type: ignore[arg-type]


async def test_pages_of_jobs_of_the_same_moment_skip_none_and_repeat_none(store: JobStore) -> None:
    for name in "abcde":
        await added(store, name, created_at=NOW)
    first = await store.find(JobFilter(limit=2))
    await added(store, "f", created_at=NOW)
    second = await store.find(JobFilter(limit=2, older_than=first[-1].sequence))
    third = await store.find(JobFilter(limit=9, older_than=second[-1].sequence))
    assert "".join(job.id for job in (*first, *second, *third)) == "edcba"
    assert await ids(store, newer_than=first[0].sequence) == ["f"]
    assert await ids(store, newer_than=third[-1].sequence, newest_first=False, limit=2) == ["b", "c"]
    assert await store.count(JobFilter(older_than=second[-1].sequence)) == 1


async def test_a_page_goes_on_where_a_removed_job_was(store: JobStore) -> None:
    for name in "abc":
        await ended(store, name)
    last = (await store.find(JobFilter(limit=2)))[-1]
    await store.remove(last.id)
    assert await ids(store, older_than=last.sequence) == ["a"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("fox", "cba"),
        ("red fox", "ba"),
        ('"red fox"', "a"),
        ('fox -"red fox"', "cb"),
        ("-fox", "d"),
        ("model:flux", "b"),
        ("-model:flux", "dca"),
        ('MODEL:"flux one"', "b"),
        ("lora:ink", "c"),
        ("-lora:ink fox", "ba"),
        ("lora:%", ""),
        ("seed:7", "a"),
        ("seed:70", "d"),
        ("seed:07", "a"),
        ("-seed:7 fox", "cb"),
        ("seed:seven", ""),
        ("sky:blue", "d"),
        ("-", ""),
        ('""', "dcba"),
        ("model:", ""),
    ],
)
async def test_searching(store: JobStore, search: str, found: str) -> None:
    await ended(store, "a", model_name="SD 1.5", parameters={"prompt": "a red fox", "seed": 7, "steps": 7})
    plain = Ending(state=JobState.COMPLETED, finished_at=LATER)
    await ended(store, "b", plain, model_name="Flux one", parameters={"prompt": "a fox, red", "seed": 9, "steps": 7})
    loras = [{"name": "wet", "multiplier": 7}, {"name": "Ink wash"}]
    await ended(store, "c", plain, parameters={"prompt": "fox", "loras": loras, "seed": 71, "steps": 1})
    await ended(store, "d", plain, parameters={"prompt": "sky:blue", "seed": 70, "steps": 1})
    assert "".join(await ids(store, search=search)) == found
    assert await store.count(JobFilter(search=search)) == len(found)


def moved(*names: str) -> Callable[[Job], Job]:
    """Throws outputs away."""

    def change(job: Job) -> Job:
        gone = [Binned(output=output, at=LATER) for output in job.outputs if output.file in names]
        kept = tuple(output for output in job.outputs if output.file not in names)
        return replace(job, outputs=kept, bin=(*job.bin, *gone))

    return change


async def test_what_was_thrown_away_lies_in_the_bin_and_counts_as_space(store: JobStore) -> None:
    await ended(store, "a", TWO, result_key="r")
    job = await store.change_bin("a", moved("image_0.png"))
    assert job is not None
    assert job == await store.get("a")
    assert (job.outputs, job.bin) == ((SECOND,), (Binned(output=PICTURE, at=LATER),))
    assert await store.output_bytes() == 200
    assert await store.by_result("", "r") is None
    assert await ids(store, in_bin=True) == await ids(store, with_outputs=True) == await ids(store, kept=True) == ["a"]
    await store.change_bin("a", moved("image_1.png"))
    assert await ids(store, with_outputs=True) == await ids(store, kept=True) == []
    assert await ids(store, in_bin=True, binned_before=LATER) == []
    assert await ids(store, in_bin=True, binned_before=LATER + timedelta(seconds=1)) == ["a"]
    await store.change_bin("a", lambda job: replace(job, bin=()))
    assert await ids(store, in_bin=True) == []
    assert await store.output_bytes() == 0


async def test_only_ended_jobs_have_bins(store: JobStore) -> None:
    await added(store, "a")
    assert await store.change_bin("a", moved()) is None
    assert await store.change_bin("b", moved()) is None


async def test_a_change_of_a_bin_that_fails_changes_nothing(store: JobStore) -> None:
    before = await ended(store, "a")

    def fail(_job: Job) -> Job:
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        await store.change_bin("a", fail)
    assert await store.get("a") == before


async def test_marks_come_and_go_with_their_files(store: JobStore, marks: MarkStore) -> None:
    await ended(store, "a", TWO)
    await ended(store, "b")
    first, second, other = FileId("a", "image_0.png"), FileId("a", "image_1.png"), FileId("b", "image_0.png")
    sky, sea = Mark("tag", "sky"), Mark("tag", "sea")
    await marks.change([first, other, FileId("nowhere", "x")], add=[FAVOURITE, sky], take=[])
    await marks.change([first], add=[sky, sea], take=[])
    await marks.change([other], add=[], take=[FAVOURITE, sea])
    assert await marks.of(["a", "b", "c"]) == {first: [FAVOURITE, sea, sky], other: [sky]}
    assert await marks.of([]) == {}
    assert await ids(store, marks=[FAVOURITE]) == ["a"]
    assert await ids(store, marks=[sky]) == ["b", "a"]
    assert await ids(store, marks=[sky, sea]) == ["a"]
    assert await store.count(JobFilter(marks=[Mark("album", "sky")])) == 0
    await marks.change([second], add=[Mark("album", "best")], take=[])
    await store.remove("a")
    assert await marks.of(["a"]) == {}
    assert await marks.names("tag", None) == ["sky"]
    assert await marks.names("album", None) == []


async def test_names_are_renamed_joined_and_removed_within_what_is_ones_own(store: JobStore, marks: MarkStore) -> None:
    await ended(store, "a", principal="ann")
    await ended(store, "b", principal="bob")
    hers, his = FileId("a", "image_0.png"), FileId("b", "image_0.png")
    old, new = Mark("tag", "old"), Mark("tag", "new")
    await marks.change([hers, his], add=[old], take=[])
    await marks.change([hers], add=[new], take=[])
    assert await marks.names("tag", "bob") == ["old"]
    assert await marks.rename("tag", "old", "new", "ann") == 1
    assert await marks.of(["a", "b"]) == {hers: [new], his: [old]}
    assert await marks.rename("tag", "new", "new", None) == 0
    assert await marks.rename("tag", "old", "", None) == 1
    assert await marks.names("tag", None) == ["new"]


async def test_jobs_are_found_by_the_output_that_they_came_from_even_when_that_is_gone(store: JobStore) -> None:
    await ended(store, "a", TWO)
    await ended(store, "b", sources={"init_image_0.png": "a/0", "mask_image_0.png": "a/1", "ref_images_0.png": "a/0"})
    varied = await ended(store, "c", varied_from="a/1")
    await added(store, "d", sources={"image_0.png": "a/0"}, waits_for=("a",))
    assert varied.varied_from == "a/1"
    assert await ids(store, descended_from="a/0") == ["d", "b"]
    assert await ids(store, descended_from="a/0", with_outputs=True) == ["b"]
    assert await ids(store, descended_from="a/1") == ["c", "b"]
    assert await ids(store, descended_from="a") == await ids(store, descended_from="b/0") == []
    await store.remove("b")
    await store.remove("a")
    assert await ids(store, descended_from="a/1") == ["c"]
    assert await store.count(JobFilter(descended_from="a/0")) == 1


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("eapo", "a"),  # parts of words, of any length
        ("te", "ca"),
        ("t", "cba"),
        ("ÉTOILE", "b"),
        ("étoile", "b"),
        ("狐狸", "c"),
        ("红色的狐狸", "c"),
        ('"a \\"b"', ""),
        ('50%_off"x', "b"),
        ("100%", "b"),
        ("x_y", "c"),
        ("x%y", ""),
        ("pot model:one", "a"),
        ("pot -model:one", ""),
        ("-pot -toi", "c"),
        ("lora:ink lora:ash", "c"),
        ("lora:kas", ""),  # no text goes over two names
        ("AND", ""),
        ("NEAR(", "a"),
        ("prompt:x", ""),
        ("model:on*", ""),
    ],
)
async def test_every_part_of_a_text_is_found(store: JobStore, search: str, found: str) -> None:
    plain = Ending(state=JobState.COMPLETED, finished_at=LATER)
    await ended(store, "a", plain, model_name="One", parameters={"prompt": "a teapot NEAR(the window)"})
    await ended(store, "b", plain, model_name="Two", parameters={"prompt": 'Étoile, 100% 50%_off"x, toile'})
    loras = [{"name": "ink"}, {"name": "ash"}]
    await ended(
        store, "c", plain, model_name="Two", parameters={"prompt": "一只红色的狐狸 x_y twitter", "loras": loras}
    )
    assert "".join(await ids(store, search=search)) == found
    assert await store.count(JobFilter(search=search)) == len(found)


async def test_searches_go_page_by_page_and_forget_removed_jobs(store: JobStore) -> None:
    for name in "abcdef":
        await ended(store, name, parameters={"prompt": "a fox" if name != "c" else "a cat"})
    page = await store.find(JobFilter(search="fox", limit=2))
    assert [job.id for job in page] == ["f", "e"]
    await store.remove("d")
    assert await ids(store, search="fox", older_than=page[-1].sequence) == ["b", "a"]
    assert await ids(store, search="fox", newer_than=page[-1].sequence, newest_first=False) == ["f"]
    assert await ids(store, search="fox", newest_first=False, offset=1, limit=2) == ["b", "e"]
    assert await ids(store, search="fox\0 -cat", limit=1) == ["f"]


async def in_pages(store: JobStore, order: JobOrder, places: dict[str, Place], *, forward: bool = True) -> str:
    """The ids of all jobs of an order, asked for two by two."""
    found, beyond = "", None
    while page := await store.find(JobFilter(order=order, beyond=beyond, newest_first=forward, limit=2)):
        found += "".join(job.id for job in page)
        beyond = places[page[-1].id]
    return found


@pytest.mark.parametrize("search", ["", "a fox"])
@pytest.mark.parametrize(
    ("order", "wanted"), [(JobOrder.MODEL, "ebafdc"), (JobOrder.SIZE, "cfebad"), (JobOrder.FAVOURITES, "dafecb")]
)
async def test_orders_go_page_by_page_in_both_directions(
    store: JobStore, marks: MarkStore, order: JobOrder, wanted: str, search: str
) -> None:
    keys: dict[str, tuple[str, int, int]] = {
        "a": ("Flux", 200, 1), "b": ("flux", 200, 0), "c": ("SD 1.5", 900, 0), "d": ("SD 1.5", 10, 1), "e": ("Alpha", 300, 0),
        "f": ("ovis", 400, 0),
    }  # fmt: skip
    places = {}
    for name, (model, size, is_favourite) in keys.items():
        outputs = (replace(PICTURE, size_bytes=size), replace(SECOND, size_bytes=5))
        job = await ended(
            store, name, replace(COMPLETED, outputs=outputs), model_name=model, parameters={"prompt": "a fox"}
        )
        await marks.change(
            [FileId(name, "image_1.png")], add=[FAVOURITE] if is_favourite else [Mark("tag", "x")], take=[]
        )
        places[name] = place_of(job, order, is_favourite=bool(is_favourite))
    assert "".join(await ids(store, order=order, search=search)) == wanted
    assert await in_pages(store, order, places) == wanted
    assert await in_pages(store, order, places, forward=False) == wanted[::-1]
    assert await store.count(JobFilter(order=order, beyond=places[wanted[1]], search=search)) == 4
    await store.remove(wanted[1])
    assert "".join(await ids(store, order=order, beyond=places[wanted[1]], search=search)) == wanted[2:]
    if order is JobOrder.SIZE:  # what lies in the bin is no file of the job
        await store.change_bin("c", moved("image_0.png"))
        assert await ids(store, order=order, limit=1) == [wanted[2]]


async def test_bounds_at_the_ends_of_time_hold_everything_or_nothing(store: JobStore) -> None:
    await added(store, "a")
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=7)))
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-7)))
    assert await ids(store, created_after=first, created_before=last) == ["a"]
    assert await ids(store, created_before=first) == await ids(store, created_after=last) == []
