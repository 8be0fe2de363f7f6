"""Scripts in A1111's bodies: ControlNet, which there is; ADetailer, which there is not; and others, which clients are told of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sdrest.core.errors import InvalidInput, Unsupported
from sdrest.web.dialects.a1111.bodies import ControlUnit, Script
from sdrest.web.http.bodies import validate

#: What the name of the extension Dynamic Prompts begins with; its version follows.
_DYNAMIC: Final = "dynamic prompts"
_FIELD: Final = "alwayson_scripts"
_NO_NAME: Final = frozenset({"", "none"})
#: ControlNet preprocessors; ``invert`` and others would need more than the library has.
MODULES: Final = ("none", "canny")
#: What the library's own edge detection is fixed to, as A1111's clients and pages send it when nobody chose anything.
_USUAL_THRESHOLDS: Final = frozenset({None, -1.0, 0.5, 64.0, 100.0, 200.0})
_BALANCED: Final = frozenset({"", "0", "balanced", "controlmode.balanced"})


def control_unit(scripts: Mapping[str, Script]) -> ControlUnit | None:
    """The ControlNet unit that is at work.

    Raises:
        InvalidInput: what stands for a unit is none, or it lacks its picture.
        Unsupported: there are several, or it asks for what is not there.
    """
    units = [
        unit
        for name, script in scripts.items()
        if name.lower().startswith("controlnet")
        for unit in _units(name, script)
        if unit.enabled and not {unit.model.lower(), unit.module.lower()} <= _NO_NAME
    ]
    if len(units) > 1:
        raise Unsupported("the native library takes one ControlNet unit at a time")
    for unit in units:
        module = unit.module.lower()
        if module not in {"", *MODULES}:
            raise Unsupported(f"there is no ControlNet preprocessor {unit.module!r} here; there are none and canny")
        if unit.model.lower() in _NO_NAME:
            raise InvalidInput("an enabled ControlNet unit needs a model", field=_FIELD)
        if not unit.picture:
            raise InvalidInput("an enabled ControlNet unit needs an image", field=_FIELD)
        return unit
    return None


def ignored_parts(unit: ControlUnit) -> Iterator[str]:
    """A sentence for each part of a ControlNet unit that has no effect."""
    if unit.guidance_start > 0 or unit.guidance_end < 1:
        yield "guidance_start and guidance_end have no effect: the ControlNet works in every step"
    if unit.control_mode.lower() not in _BALANCED:
        yield f"control_mode {unit.control_mode!r} has no effect: the ControlNet works with both prompts"
    if unit.module.lower() == "canny" and not {unit.threshold_a, unit.threshold_b} <= _USUAL_THRESHOLDS:
        yield "threshold_a and threshold_b have no effect: the library's edge detection has its own"
    if unit.mask or (not isinstance(unit.image, str) and unit.image.mask):
        yield "the mask of a ControlNet unit has no effect"


def draws_prompts(scripts: Mapping[str, Script]) -> bool:
    """Whether the extension Dynamic Prompts is on; its first argument says so."""
    return any(
        name.lower().startswith(_DYNAMIC) and bool(script.args) and script.args[0] in (True, "True", "true")
        for name, script in scripts.items()
    )


def other_scripts(scripts: Mapping[str, Script]) -> Iterator[str]:
    """A sentence for each other script that is switched on.

    Raises:
        Unsupported: ADetailer is.
    """
    for name, script in scripts.items():
        kind = name.lower()
        if kind.startswith(("controlnet", _DYNAMIC)):
            continue
        if kind.startswith("adetailer"):
            if _adetailer_is_on(script.args):
                raise Unsupported("there is no ADetailer here: it needs detection models that this server does not run")
        elif script.args and _is_on(script.args[0]):
            yield f"the script {name!r} is not here and has no effect"


def _units(name: str, script: Script) -> Iterator[ControlUnit]:
    for index, unit in enumerate(script.args):
        if unit is None:
            continue
        if not isinstance(unit, Mapping):
            place = f"{_FIELD}.{name}.args.{index}"
            raise InvalidInput("must be a ControlNet unit, an object with model and image", field=place)
        try:
            yield validate(ControlUnit, unit)
        except InvalidInput as error:
            raise error.within(f"{_FIELD}.{name}.args.{index}") from None


def _adetailer_is_on(arguments: list[Any]) -> bool:
    """Its first argument may switch it off; each object after that is a detector, off with the model ``None``."""
    if arguments and arguments[0] is False:
        return False
    detectors = [item for item in arguments if isinstance(item, Mapping)]
    return any(
        str(item.get("ad_model") or "").lower() not in _NO_NAME and item.get("ad_tab_enable", True)
        for item in detectors
    )


def _is_on(first: object) -> bool:
    """Whether a script's first argument switches it on: scripts begin with a switch, or with an object that has one."""
    if isinstance(first, Mapping):
        return bool(next((first[key] for key in ("enabled", "enable", "is_enabled") if key in first), bool(first)))
    return bool(first) and str(first).lower() not in {"false", "none"}
