"""Fields of the A1111 API that have no effect here: who sends one with a value that would matter is told so."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sdrest.web.dialects.a1111.bodies import Making
from sdrest.web.dialects.a1111.options import FIXED

_NOISE: Final = "the library draws its noise itself"
_SAMPLING: Final = "the library's samplers have no such setting"
_SECOND: Final = "the second pass works with what the first has"
#: By name: values by which nobody asks for anything, and why the field has no effect.
_IGNORED: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    "subseed_strength": ((0,), f"{_NOISE}, so that two seeds cannot be mixed"),
    "seed_resize_from_w": ((-1, 0), _NOISE),
    "seed_resize_from_h": ((-1, 0), _NOISE),
    "s_min_uncond": ((0,), _SAMPLING),
    "s_churn": ((0,), _SAMPLING),
    "s_tmin": ((0,), _SAMPLING),
    "s_tmax": ((0,), _SAMPLING),
    "s_noise": ((1,), _SAMPLING),
    "refiner_checkpoint": (("", "None"), "there is no refiner here"),
    "disable_extra_networks": ((False,), "LoRAs and embeddings of the prompt are applied"),
    "firstphase_width": ((0,), "give width and height, and hr_resize_x and hr_resize_y"),
    "firstphase_height": ((0,), "give width and height, and hr_resize_x and hr_resize_y"),
    "latent_mask": (("",), "give mask"),
    "initial_noise_multiplier": ((None, 1), _NOISE),
}
#: As above, of the options that a request brings along.
_IGNORED_OPTIONS: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    "eta_noise_seed_delta": ((0,), _NOISE),
    "token_merging_ratio": ((0,), "the library merges no tokens"),
}
#: As above, where a second pass is made.
_IGNORED_IN_SECOND: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    "hr_checkpoint_name": (("", "None", "Use same checkpoint"), _SECOND),
    "hr_sampler_name": (("", "None", "Use same sampler"), _SECOND),
    "hr_scheduler": (("", "None", "Use same scheduler"), _SECOND),
    "hr_prompt": (("",), _SECOND),
    "hr_negative_prompt": (("",), _SECOND),
    "hr_cfg": ((None, 0), _SECOND),
    "hr_distilled_cfg": ((None, 0), _SECOND),
    "hr_additional_modules": (([], ["Use same choices"]), _SECOND),
}


#: How many unknown options are told, and how much of their names.
_MOST_NAMES, _LONGEST_NAME = 16, 80


def ignored_fields(body: Making) -> Iterator[str]:
    """A sentence for each field that was sent and has no effect."""
    tables = [_IGNORED, *([_IGNORED_IN_SECOND] if getattr(body, "enable_hr", False) else [])]
    for name, (neutral, why) in (item for table in tables for item in table.items()):
        if name in body.model_fields_set and getattr(body, name) not in neutral:
            yield f"{name} has no effect: {why}"
    asked = body.override_settings
    for name, (neutral, why) in _IGNORED_OPTIONS.items():
        if getattr(asked, name) not in neutral:
            yield f"override_settings.{name} has no effect: {why}"
    for name, value in islice((asked.model_extra or {}).items(), _MOST_NAMES):
        if name not in FIXED or FIXED[name] != value:
            yield f"override_settings.{name[:_LONGEST_NAME]} has no effect: there is no such option here"
    if asked.model_fields_set and not body.override_settings_restore_afterwards:
        yield "override_settings_restore_afterwards has no effect: override_settings hold for one request; POST options"
    if asked.samples_format and asked.picture_format is None:
        yield f"samples_format {asked.samples_format!r} has no effect: png, jpg, webp and avif are written"
