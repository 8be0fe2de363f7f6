"""Samplers and schedulers are understood in the spellings of all clients."""

from __future__ import annotations

import pytest

from sdrest.core.names import SAMPLER_LABELS, Sampler, Scheduler, parse_sampler, parse_scheduler


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("Euler a", (Sampler.EULER_A, None)),
        ("euler_a", (Sampler.EULER_A, None)),
        ("k_euler_a", (Sampler.EULER_A, None)),
        ("k_euler_ancestral", (Sampler.EULER_A, None)),
        ("DPM++ 2M", (Sampler.DPMPP2M, None)),
        ("dpm++2m", (Sampler.DPMPP2M, None)),
        ("DPM++ 2M Karras", (Sampler.DPMPP2M, Scheduler.KARRAS)),
        ("DPM++ 2S a Karras", (Sampler.DPMPP2S_A, Scheduler.KARRAS)),
        ("LCM", (Sampler.LCM, None)),
        ("Euler SGM Uniform", (Sampler.EULER, Scheduler.SGM_UNIFORM)),
        ("magic", None),
        ("", None),
    ],
)
def test_samplers(name: str, meaning: object) -> None:
    assert parse_sampler(name) == meaning


def test_every_own_name_and_label_means_itself() -> None:
    for sampler in Sampler:
        assert parse_sampler(sampler) == parse_sampler(SAMPLER_LABELS[sampler]) == (sampler, None)
    for scheduler in Scheduler:
        assert parse_scheduler(scheduler) is scheduler


@pytest.mark.parametrize(
    ("name", "meaning"), [("Karras", "karras"), ("normal", "discrete"), ("SGM Uniform", "sgm_uniform"), ("x", None)]
)
def test_schedulers(name: str, meaning: str | None) -> None:
    assert parse_scheduler(name) == meaning
