"""What each architecture works best with, and which picture sizes it takes.

Sizes and steps are those of the models' own publications and of the native library's examples; ``multiple`` is the latent scale
times the model's own reduction (``get_vae_scale_factor`` × ``get_diffusion_model_down_factor``, ``stable-diffusion.cpp``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from sdrest.core.architecture import Architecture, Family
from sdrest.core.errors import InvalidInput, did_you_mean
from sdrest.core.model import Model
from sdrest.core.names import Sampler, Scheduler, parse_sampler, parse_scheduler
from sdrest.core.parameters import GenerationParameters, limits_of


@dataclass(frozen=True, slots=True)
class Defaults:
    """Parameters used where a request is silent, and the limits of the architecture."""

    width: int = 512
    height: int = 512
    steps: int = 20
    cfg_scale: float = 7.0
    guidance: float = 3.5
    sampler: Sampler = Sampler.EULER
    scheduler: Scheduler = Scheduler.DISCRETE
    #: Width and height must be multiples of this many pixels.
    multiple: int = 64
    #: Whether clip_skip means anything (the architecture reads prompts with CLIP).
    clip: bool = True

    def parameters(self) -> dict[str, Any]:
        """The generation parameters among the fields."""
        return {
            name: getattr(self, name)
            for name in ("width", "height", "steps", "cfg_scale", "guidance", "sampler", "scheduler")
        }


_SIDES: Final = ("width", "height")
_NUMBERS: Final[Mapping[str, type[int | float]]] = {
    "width": int,
    "height": int,
    "steps": int,
    "cfg_scale": float,
    "guidance": float,
}

_SD1 = Defaults(sampler=Sampler.EULER_A)
_FLUX = Defaults(1024, 1024, 20, 1.0, 3.5, multiple=16)

_BY_FAMILY: Final[Mapping[Family, Defaults]] = {
    Family.SD1: _SD1,
    Family.SD2: Defaults(768, 768, sampler=Sampler.EULER_A),
    Family.SDXL: Defaults(1024, 1024, 25, sampler=Sampler.EULER_A),
    Family.SVD: Defaults(1024, 576, 25, 2.5),
    Family.SD3: Defaults(1024, 1024, 28, 4.5, multiple=16),
    Family.FLUX: _FLUX,
    Family.CHROMA: Defaults(1024, 1024, 26, 4.0, 0.0, multiple=16, clip=False),
    Family.FLUX2: Defaults(1024, 1024, 20, 1.0, 4.0, multiple=16, clip=False),
    Family.WAN: Defaults(832, 480, 20, 6.0, multiple=16, clip=False),
    Family.QWEN_IMAGE: Defaults(1024, 1024, 20, 2.5, multiple=16, clip=False),
    Family.ANIMA: Defaults(1024, 1024, 30, 4.0, multiple=16, clip=False),
    Family.Z_IMAGE: Defaults(1024, 1024, 9, 1.0, multiple=16, clip=False),
    Family.OVIS_IMAGE: Defaults(1024, 1024, 20, 5.0, multiple=16, clip=False),
    Family.ERNIE_IMAGE: Defaults(1024, 1024, 20, 4.0, multiple=16, clip=False),
}
_BY_ARCHITECTURE: Final[Mapping[Architecture, Defaults]] = {
    Architecture.SDXS_512_DS: Defaults(512, 512, 1, 1.0),
    Architecture.SDXS_09: Defaults(512, 512, 1, 1.0),
    Architecture.WAN2_2_TI2V: Defaults(1280, 704, 20, 5.0, multiple=32, clip=False),
    Architecture.FLUX_FILL: Defaults(1024, 1024, 20, 1.0, 30.0, multiple=16),
}


def defaults_of(model: Model | None) -> Defaults:
    """The defaults of a model; those of SD 1.x when there is none.

    What a file beside the model gives under ``defaults`` goes before the architecture's, as far as it makes sense.
    """
    if model is None or model.architecture is None:
        return _SD1
    general = _BY_ARCHITECTURE.get(model.architecture) or _BY_FAMILY[model.architecture.family]
    return replace(general, **dict(_own(model, general.multiple))) if model.defaults else general


def default_from(model: Model, name: str, text: str) -> str | int | float:
    """The value of a default, given as text, for a file beside ``model``.

    Raises:
        InvalidInput: there is no default of this name, or the model cannot take this value.
    """
    known = (*_NUMBERS, "sampler", "scheduler")
    field = f"defaults.{name}"
    if name not in known:
        raise InvalidInput(f"unknown default{did_you_mean(name, known)}; known: {', '.join(known)}", field=field)
    if model.architecture is None:
        raise InvalidInput(f"{model.name} is no model that makes pictures: it has no defaults", field=field)
    value: str | int | float = text.strip()
    if name in _NUMBERS:
        try:
            value = _NUMBERS[name](text)
        except ValueError:
            raise InvalidInput(f"{text!r} is no number of this kind", field=field) from None
    multiple = defaults_of(model).multiple
    if not dict(_own(replace(model, defaults={name: value}), multiple)):
        of = f" and a multiple of {multiple}" if name in _SIDES else ""
        what = (
            f"must be within the limits of the parameter{of}" if name in _NUMBERS else f"no {name} is called {text!r}"
        )
        raise InvalidInput(f"{value}: {what}" if name in _NUMBERS else what, field=field)
    return value


def _own(model: Model, multiple: int) -> Iterator[tuple[str, Any]]:
    """The model's own defaults that lie within the parameters' limits; others are passed over."""
    limits = {item.name: limits_of(item) for item in fields(GenerationParameters)}
    for name, value in model.defaults.items():
        if name == "sampler" and (sampler := parse_sampler(str(value))):
            yield name, sampler[0]
        elif name == "scheduler" and (scheduler := parse_scheduler(str(value))):
            yield name, scheduler
        elif name in _NUMBERS and isinstance(value, int | float):
            bounds = limits[name]
            fits = (bounds.ge is None or value >= bounds.ge) and (bounds.le is None or value <= bounds.le)
            if fits and not (name in _SIDES and value % multiple):
                yield name, _NUMBERS[name](value)
