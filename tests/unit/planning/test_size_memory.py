"""What three sizes need, and whether the machine has it: whole, with the weights beside the device, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.model import Model
from sdrest.engine.messages import DeviceInfo, Ready
from sdrest.planning.context_specs import ContextBuilder
from sdrest.planning.holding import Holding
from sdrest.planning.memory import ComputeSizes, MemoryPlanner
from sdrest.planning.size_memory import SizePlanner, Verdict, typical
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from tests.architectures import EVIDENCE, PARTS
from tests.model_files import write_safetensors

_MIB = 1 << 20


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    write_safetensors(tmp_path / "checkpoints/one.safetensors", EVIDENCE[Architecture.SD1])
    write_safetensors(tmp_path / "vae/mse.safetensors", PARTS["vae"][1])
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    return registry


def one(registry: Registry) -> Model:
    return registry.catalogue.resolve("one")


def ready(kind: str, memory: int) -> Ready:
    device = DeviceInfo(name="X0", description="", type=kind, backend="X", memory_free=memory, memory_total=memory)
    return Ready(version="", commit="", system_info="", physical_cores=1, soft_cancel=True, devices=(device,))


def memory_of(library: Ready, sizes: ComputeSizes | None = None) -> MemoryPlanner:
    return MemoryPlanner(sizes or ComputeSizes(), libraries=lambda: [library])


def verdicts(registry: Registry, memory: MemoryPlanner) -> list[Verdict]:
    return [
        size.verdict for size in SizePlanner(ContextBuilder(registry, Holding(threads=1)), memory).of(one(registry))
    ]


def test_sizes_are_the_models_own_and_one_on_either_side(registry: Registry) -> None:
    found = SizePlanner(ContextBuilder(registry, Holding(threads=1)), memory_of(ready("cpu", 0))).sizes(one(registry))
    assert found == ((384, 384), (512, 512), (768, 768))


def test_what_a_dry_run_told_is_in_the_total(registry: Registry) -> None:
    contexts, memory = ContextBuilder(registry, Holding(threads=1)), memory_of(ready("cpu", 0))
    memory.learn(contexts.plan(one(registry), typical(512, 512)), typical(512, 512), 5 * _MIB)
    small, own, _ = SizePlanner(contexts, memory).of(one(registry))
    assert (small.compute, own.compute) == (0, 5 * _MIB)
    assert own.total == small.total + 5 * _MIB
    assert own.weights == one(registry).weights_bytes + registry.catalogue.resolve("mse").weights_bytes


def test_verdicts_by_the_memory_of_the_device(registry: Registry) -> None:
    largest = one(registry).weights_bytes
    whole = largest + registry.catalogue.resolve("mse").weights_bytes
    assert largest < whole

    def device(room: int) -> Ready:
        """A device whose budget has that much room beside what every context takes."""
        return ready("gpu", int((room + 192 * _MIB) / 0.95) + 2)

    assert verdicts(registry, memory_of(device(whole))) == [Verdict.FITS] * 3
    assert verdicts(registry, memory_of(device(largest))) == [Verdict.OFFLOAD] * 3
    assert verdicts(registry, memory_of(device(largest - 1000))) == [Verdict.TOO_LARGE] * 3
    # The processor has nothing to take the weights from.
    on_processor = MemoryPlanner(ComputeSizes(), budget_bytes=largest + 192 * _MIB, libraries=lambda: [ready("cpu", 0)])
    assert verdicts(registry, on_processor) == [Verdict.TOO_LARGE] * 3


def test_a_job_is_let_in_by_what_the_device_holds_of_it(registry: Registry) -> None:
    contexts = ContextBuilder(registry, Holding(threads=1, offload_weights=True))
    plan = contexts.plan(one(registry), typical(512, 512))
    assert dict(plan.spec.options)["offload_params_to_cpu"] is True
    device = ready("gpu", 100 << 30)
    assert memory_of(device).demand(plan, typical(512, 512)).weights == one(registry).weights_bytes
    held = ContextBuilder(registry, Holding(threads=1)).plan(one(registry), typical(512, 512))
    assert memory_of(device).demand(held, typical(512, 512)).weights == plan.weights_bytes
    # Without a device of its own memory, everything counts.
    assert memory_of(ready("cpu", 0)).demand(plan, typical(512, 512)).weights == plan.weights_bytes
