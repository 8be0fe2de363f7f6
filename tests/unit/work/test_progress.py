"""Progress never goes back, whatever the engine reports."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdrest.core.job import Phase
from sdrest.work.progress import ProgressTracker

REPORTS = st.lists(st.tuples(st.sampled_from(list(Phase)), st.integers(-1, 50), st.integers(-1, 50), st.integers(0, 4)))


@given(REPORTS)
def test_the_fraction_is_monotone_and_between_0_and_1(reports: list[tuple[Phase, int, int, int]]) -> None:
    tracker = ProgressTracker(3)
    fractions = [tracker.advance(*report).fraction for report in reports]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)


def test_half_of_the_steps_is_about_half_of_the_job_and_tells_the_time_left() -> None:
    now = [0.0]
    tracker = ProgressTracker(1, clock=lambda: now[0])
    tracker.advance(Phase.LOAD, 1, 1, 0)
    tracker.advance(Phase.SAMPLE, 0, 10, 1)
    now[0] = 5.0
    half = tracker.advance(Phase.SAMPLE, 5, 10, 1)
    assert 0.4 < half.fraction < 0.6
    assert half.eta_seconds is not None
    assert 4 < half.eta_seconds < 8
