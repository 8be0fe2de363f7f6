"""Where the engines of a server compute: each on a device of its own, or on a part of the processor."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sdrest.core.errors import InvalidInput
from sdrest.engine.backends import missing_backend
from sdrest.engine.messages import Ready
from sdrest.settings import Backend, Settings

#: The variable by which a process sees only some devices, and how a device's number is written there. ggml computes on the first
#: one that it sees.
_VISIBLE: Final = {
    Backend.CUDA: ("CUDA_VISIBLE_DEVICES", "{}"),
    Backend.ROCM: ("HIP_VISIBLE_DEVICES", "{}"),
    Backend.VULKAN: ("GGML_VK_VISIBLE_DEVICES", "{}"),
    Backend.SYCL: ("ONEAPI_DEVICE_SELECTOR", "level_zero:{}"),
    Backend.OPENCL: ("GGML_OPENCL_DEVICE", "{}"),
}
#: What hides all devices but the processor.
_NO_DEVICE: Final = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "GGML_VK_VISIBLE_DEVICES": ""}
_NAMED: Final = re.compile(r"([a-z]+?)(\d*)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one engine computes."""

    #: The engine's name in views and logs.
    name: str = "engine"
    #: The device as the settings name it (``cuda1``); empty: the library chooses.
    device: str = ""
    backend: Backend = Backend.AUTO
    #: Variables for the engine's processes.
    environment: Mapping[str, str] = field(default_factory=dict)

    def refusal(self, info: Ready) -> str:
        """Why a library cannot be used here; empty when it can."""
        missing = missing_backend(self.backend, info)
        return f"the device {self.device} is not there: {missing}" if missing and self.device else missing


#: The only engine of a server, on the device that the library chooses.
ANYWHERE: Final = Place()


def places(settings: Settings, environment: Mapping[str, str] = os.environ) -> tuple[Place, ...]:
    """The places of a server's engines, one for each of its devices or as many as are asked for.

    Raises:
        InvalidInput: a device's name is none, or is there twice; or devices and a number of engines are both given.
    """
    if settings.devices and settings.engines != 1:
        raise InvalidInput("not together with devices: there is one engine for each device", field="engines")
    if len({*settings.devices}) < len(settings.devices):
        raise InvalidInput("a device is named twice", field="devices")
    if settings.devices:
        return tuple(_on(device, environment) for device in settings.devices)
    if settings.engines == 1:
        return (Place(backend=settings.backend),)
    return tuple(Place(f"engine-{number}", backend=settings.backend) for number in range(1, settings.engines + 1))


def _on(device: str, environment: Mapping[str, str]) -> Place:
    match = _NAMED.fullmatch(device)
    kinds = {str(backend): backend for backend in (*_VISIBLE, Backend.METAL, Backend.CPU)}
    if match is None or match[1] not in kinds:
        raise InvalidInput(
            f"{device!r} is no device; devices are named cuda0, vulkan1, rocm0 …, or cpu", field="devices"
        )
    backend, number = kinds[match[1]], int(match[2] or 0)
    name = f"engine-{device}"
    if backend is Backend.CPU:
        return Place(name, device, backend, dict(_NO_DEVICE))
    if backend not in _VISIBLE:
        return Place(name, device, backend)
    variable, form = _VISIBLE[backend]
    shown = [item.strip() for item in environment.get(variable, "").split(",") if item.strip()]
    if shown and number >= len(shown):
        raise InvalidInput(f"there is no {device}: {variable} is {environment[variable]!r}", field="devices")
    return Place(name, device, backend, {variable: shown[number] if shown else form.format(number)})
