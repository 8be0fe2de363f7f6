"""Moving a waiting job by one place: played on a queue that sorts as the real one does."""

from __future__ import annotations

import random

from sdrest.web.ui.turns import PRIORITY_BOUND, moved


def _order(waiting: dict[str, tuple[int, int]]) -> list[str]:
    """Ids by priority, equals by age."""
    return sorted(waiting, key=lambda name: (-waiting[name][0], waiting[name][1]))


def _move(waiting: dict[str, tuple[int, int]], name: str, places: int) -> dict[str, int]:
    changes = moved([(item, priority) for item, (priority, _) in waiting.items()], name, places)
    for item, priority in changes.items():
        waiting[item] = priority, waiting[item][1]
    return changes


def test_the_last_of_five_equals_goes_one_place_ahead_not_to_the_front() -> None:
    waiting = {name: (0, age) for age, name in enumerate("abcde")}
    _move(waiting, "e", -1)
    assert _order(waiting) == list("abced")
    _move(waiting, "b", 1)
    assert _order(waiting) == list("acbed")


def test_a_job_at_its_end_stays_there_and_nothing_changes() -> None:
    waiting = {name: (0, age) for age, name in enumerate("abc")}
    assert _move(waiting, "a", -1) == {}
    assert _move(waiting, "c", 1) == {}
    assert moved([("a", 0)], "gone", 1) == {}


def test_any_moves_lead_where_they_would_in_a_plain_list() -> None:
    rng = random.Random(5)
    for _ in range(200):
        names = [f"j{number}" for number in range(rng.randint(2, 7))]
        waiting = {name: (rng.choice((0, 0, 0, 2, -1)), age) for age, name in enumerate(names)}
        plain = _order(waiting)
        for _ in range(6):
            name, places = rng.choice(names), rng.choice((-1, 1))
            at = plain.index(name)
            plain.insert(max(0, min(len(plain) - 1, at + places)), plain.pop(at))
            _move(waiting, name, places)
            assert _order(waiting) == plain


def test_priorities_stay_within_their_bound() -> None:
    waiting = {name: (PRIORITY_BOUND, age) for age, name in enumerate("abc")}
    assert all(abs(priority) <= PRIORITY_BOUND for priority in _move(waiting, "c", -1).values())
    assert _order(waiting) == list("acb")
