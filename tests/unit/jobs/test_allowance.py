"""How much users and guests may ask for."""

from __future__ import annotations

import pytest

from sdrest.core.errors import Forbidden
from sdrest.core.parameters import GenerationParameters, Hires, UpscaleParameters, VideoParameters
from sdrest.core.principal import ANYONE, Role, principal_of
from sdrest.jobs.allowance import Allowance, Allowances

GUEST = Allowance(max_pending=2, max_pixels=512 * 512, max_steps=20, max_images=2)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (GenerationParameters(width=512, height=520), "width"),
        (GenerationParameters(width=256, height=256, hires=Hires(enabled=True, scale=2.5)), "width"),
        (GenerationParameters(width=256, height=256, hires=Hires(enabled=True, target_width=1024)), "width"),
        (GenerationParameters(upscale_model="x4"), "width"),
        (GenerationParameters(steps=21), "steps"),
        (GenerationParameters(steps=1, custom_sigmas=(1.0,) * 22), "steps"),
        (GenerationParameters(hires=Hires(steps=30)), "steps"),
        (GenerationParameters(batch_count=3), "batch_count"),
        (VideoParameters(video_frames=33), "video_frames"),
    ],
)
def test_more_than_allowed_is_refused_by_field(parameters: GenerationParameters, field: str) -> None:
    with pytest.raises(Forbidden) as caught:
        GUEST.check(parameters)
    errors = caught.value.details["errors"]
    assert isinstance(errors, list)
    assert [error["field"] for error in errors] == [field]


def test_as_much_as_allowed_is_fine() -> None:
    GUEST.check(GenerationParameters(width=512, height=512, steps=20, batch_count=2))
    GUEST.check(UpscaleParameters(upscale_factor=4), (128, 128))
    Allowance().check(GenerationParameters(width=4096, height=4096, steps=1000, batch_count=64))


def test_an_enlarged_picture_is_as_large_as_what_is_made_of_it() -> None:
    for factor, size in ((4.1, (128, 128)), (4, (128, 129)), (1, (513, 512))):
        with pytest.raises(Forbidden, match="pixels"):
            GUEST.check(UpscaleParameters(upscale_factor=factor), size)


def test_who_manages_the_queue_has_no_bounds() -> None:
    allowances = Allowances(user=Allowance(max_pending=5), guest=GUEST)
    assert allowances.of(principal_of("g", Role.GUEST, "guest")) is GUEST
    assert allowances.of(principal_of("u", Role.USER, "jwt")).max_pending == 5
    assert allowances.of(principal_of("a", Role.ADMIN, "jwt")) == Allowance()
    assert allowances.of(ANYONE) == Allowance()
