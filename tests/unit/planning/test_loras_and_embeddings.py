"""Jobs are checked on several threads at once: what one of them forgets must not be missing for another."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.parameters import GenerationParameters, Lora
from sdrest.planning import loras_and_embeddings as adapters
from sdrest.planning.embedding_files import Embeddings
from sdrest.planning.loras_and_embeddings import AdapterFinder
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from tests.architectures import EVIDENCE
from tests.model_files import write_safetensors

_PARAMETERS = GenerationParameters(prompt="a", loras=(Lora(name="ink"),))


class _Interrupted(str):
    """An id that lets something else happen whenever it is looked up."""

    __slots__ = ("meanwhile",)
    meanwhile: Callable[[], None]

    def __hash__(self) -> int:
        self.meanwhile()
        return super().__hash__()


def test_a_comparison_is_found_although_another_thread_clears_those_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k"
    write_safetensors(
        tmp_path / "lora/ink.safetensors", {f"{name}.lora_down.weight": (8, 768), f"{name}.lora_up.weight": (320, 8)}
    )
    for number in range(3):
        write_safetensors(tmp_path / f"checkpoints/m{number}.safetensors", EVIDENCE[Architecture.SD1])
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    finder = AdapterFinder(registry, Embeddings(registry, tmp_path / "embeddings"))
    monkeypatch.setattr(adapters, "_FITS_KEPT", 1)
    others = itertools.cycle([registry.catalogue.resolve("m1"), registry.catalogue.resolve("m2")])

    def clear() -> None:
        thread = threading.Thread(target=finder.find, args=(next(others), _PARAMETERS))
        thread.start()
        thread.join()

    model = registry.catalogue.resolve("m0")
    interrupted = _Interrupted(model.id)
    interrupted.meanwhile = clear
    for _ in range(2):
        found = finder.find(dataclasses.replace(model, id=interrupted), _PARAMETERS)
        assert [file.path for file in found.loras] == [str(tmp_path / "lora/ink.safetensors")]
