"""The library's log lines and its one counter become phases and steps."""

from __future__ import annotations

from sdrest.engine.child.phases import Phases


def test_steps_of_two_models_are_counted_as_one_row() -> None:
    heard: list[tuple[str, int, int]] = []
    phases = Phases(lambda phase, step, steps, _image, _images: heard.append((phase, step, steps)))
    phases.picture(1, 1, total_steps=5)
    phases.log_line("get_learned_condition completed, taking 0.1s")
    for steps in (2, 3):
        for step in range(steps + 1):
            phases.progress(step, steps)
    phases.log_line("generating latent video completed, taking 1s")
    phases.progress(1, 4)
    assert heard == [
        ("sample", 0, 0),
        *(("sample", step, 5) for step in (0, 1, 2, 2, 3, 4, 5)),
        ("decode", 0, 0),
        ("decode", 1, 4),
    ]


def test_steps_of_one_model_are_its_own() -> None:
    heard: list[tuple[int, int]] = []
    phases = Phases(lambda _phase, step, steps, _image, _images: heard.append((step, steps)))
    phases.picture(1, 2)
    phases.enter("sample")
    phases.progress(1, 2)
    phases.progress(1, 7)
    assert heard == [(0, 0), (1, 2), (1, 7)]
