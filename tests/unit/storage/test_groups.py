"""Groups of jobs, in every store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sdrest.core.errors import QueueFull
from sdrest.core.group import Axis, Group
from sdrest.core.job import Job, JobState, JobType
from sdrest.jobs.group_store import GroupStore
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.store import JobStore
from tests.unit.storage.test_job_store import NOW, added

STEPS = Axis(label="steps", values=("4", "8"))
WORDS = Axis(label="prompt", values=("é", "pear", "fig"))


def group(name: str, **fields: Any) -> Group:
    return Group(**{"id": name, "principal": "ann", "name": "try", "created_at": NOW, "axes": (STEPS, WORDS), **fields})


def jobs(*names: str, group_id: str = "g", **fields: Any) -> list[Job]:
    made = Job(id="", type=JobType.TXT2IMG, principal="ann", created_at=NOW, group_id=group_id, **fields)
    return [replace(made, id=name, place=place) for place, name in enumerate(names)]


def test_a_place_says_which_value_of_each_axis_it_has() -> None:
    assert group("g").places == 6
    assert [group("g").labels(place) for place in (0, 1, 2, 5)] == [("4", "é"), ("8", "é"), ("4", "pear"), ("8", "fig")]


async def test_a_group_comes_back_with_its_jobs(store: JobStore, groups: GroupStore) -> None:
    await added(store, "alone", principal="ann")
    one, other = group("g"), group("h", is_list=True, axes=(WORDS,), principal="bob")
    await groups.add(one, jobs("a", "b"), max_pending=9)
    await groups.add(other, jobs("c", group_id="h"), max_pending=9)
    assert await groups.get("g") == one
    assert await groups.get("h") == other
    assert await groups.get("x") is None
    assert await groups.find(None, limit=9) == [other, one]
    assert await groups.find(None, limit=9, offset=1) == [one]
    assert await groups.find("bob", limit=9) == [other]
    assert (await groups.count(None), await groups.count("ann")) == (2, 1)
    mine = await store.find(JobFilter(group_id="g", newest_first=False))
    assert [(job.id, job.place) for job in mine] == [("a", 0), ("b", 1)]
    assert await store.count(JobFilter(group_id="h")) == 1
    assert await groups.remove("g")
    assert not await groups.remove("g")
    assert await groups.get("g") is None
    assert await store.get("a") is not None


async def test_an_idempotency_key_brings_back_the_first_group_of_its_principal(
    store: JobStore, groups: GroupStore
) -> None:
    first = group("g", idempotency_key="k")
    assert await groups.add(first, jobs("a", "b"), max_pending=2) == first
    # Though there is no room for more jobs: it asks for none.
    assert await groups.add(group("h", idempotency_key="k"), jobs("c", group_id="h"), max_pending=2) == first
    assert await groups.get("h") is None
    assert await store.known(["a", "b", "c"]) == {"a", "b"}
    other = group("i", principal="bob", idempotency_key="k")
    assert await groups.add(other, jobs("d", group_id="i"), max_pending=9) == other
    for name in ("j", "l"):  # the empty key is none
        assert (await groups.add(group(name), jobs(f"of-{name}", group_id=name), max_pending=9)).id == name
    await added(store, "alone", principal="ann", idempotency_key="k")  # jobs have keys of their own
    await groups.remove("g")
    again = group("m", idempotency_key="k")
    assert await groups.add(again, jobs("e", group_id="m"), max_pending=9) == again
    assert await groups.get("m") == again


async def test_a_group_is_stored_as_a_whole_or_not_at_all(store: JobStore, groups: GroupStore) -> None:
    await added(store, "before", principal="ann")
    with pytest.raises(QueueFull, match="no room for 3 jobs: 1 jobs are pending, 3 may be"):
        await groups.add(group("g"), jobs("a", "b", "c"), max_pending=3)
    with pytest.raises(QueueFull, match="you have 1 jobs pending, and asked for 2 more; 2 are what one user may have"):
        await groups.add(group("g"), jobs("a", "b"), max_pending=9, max_pending_of_principal=2)
    assert await groups.get("g") is None
    assert await store.count(JobFilter()) == 1
    done = jobs("c", state=JobState.COMPLETED, finished_at=NOW)  # it needs no room
    await groups.add(group("g"), [*jobs("a", "b"), *done], max_pending=3)
    assert (await store.counts())[JobState.PENDING] == 3
