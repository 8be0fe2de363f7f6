"""Where the engines of a server compute."""

from __future__ import annotations

import pytest

from sdrest.cli.configuration import load_settings
from sdrest.core.errors import InvalidInput
from sdrest.engine.cores import share_of
from sdrest.engine.messages import DeviceInfo, Ready
from sdrest.engine.places import places
from sdrest.settings import Backend


def ready(*backends: str) -> Ready:
    """What a library with a device of each backend says of itself."""
    devices = tuple(
        DeviceInfo(name=name, description="", type="cpu", backend=name, memory_free=0, memory_total=0)
        for name in backends
    )
    return Ready(version="", commit="", system_info="", physical_cores=1, soft_cancel=True, devices=devices)


def test_one_engine_where_nothing_is_said() -> None:
    (place,) = places(load_settings({"backend": "vulkan"}), {})
    assert (place.name, place.device, place.backend, dict(place.environment)) == ("engine", "", Backend.VULKAN, {})


def test_a_number_of_engines_on_the_same_device() -> None:
    assert [place.name for place in places(load_settings({"engines": 3}), {})] == ["engine-1", "engine-2", "engine-3"]


def test_each_device_is_the_only_one_that_its_engine_sees() -> None:
    found = places(load_settings({"devices": "cuda1,vulkan0,sycl2,cpu"}), {})
    assert [place.name for place in found] == ["engine-cuda1", "engine-vulkan0", "engine-sycl2", "engine-cpu"]
    assert [dict(place.environment) for place in found[:3]] == [
        {"CUDA_VISIBLE_DEVICES": "1"},
        {"GGML_VK_VISIBLE_DEVICES": "0"},
        {"ONEAPI_DEVICE_SELECTOR": "level_zero:2"},
    ]
    assert found[3].environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_devices_are_counted_among_those_that_this_process_sees() -> None:
    (place,) = places(load_settings({"devices": "cuda1"}), {"CUDA_VISIBLE_DEVICES": "4, 7"})
    assert dict(place.environment) == {"CUDA_VISIBLE_DEVICES": "7"}
    with pytest.raises(InvalidInput, match="no cuda2"):
        places(load_settings({"devices": "cuda2"}), {"CUDA_VISIBLE_DEVICES": "4,7"})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"devices": "gpu0"}, "'gpu0' is no device"),
        ({"devices": "0"}, "'0' is no device"),
        ({"devices": "cuda0,cuda0"}, "twice"),
        ({"devices": "cuda0", "engines": 2}, "one engine for each device"),
    ],
)
def test_what_is_no_place_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        places(load_settings(values), {})


def test_a_device_that_the_library_does_not_have_is_named() -> None:
    (place,) = places(load_settings({"devices": "cuda0"}), {})
    assert "the device cuda0 is not there" in place.refusal(ready("CPU"))
    assert place.refusal(ready("CPU", "CUDA")) == ""


def test_cores_are_shared_out() -> None:
    assert [share_of(8, number) for number in (1, 2, 3, 20)] == [8, 4, 2, 1]
    assert share_of(0, 2) == 0  # the library chooses
