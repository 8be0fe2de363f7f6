"""The cards of real models say what the catalogue of model sets says."""

from __future__ import annotations

import pytest

from sdrest.registry.model_sets import shipped_sets
from sdrest.web.ui.first_steps import _STARTERS, _Starter


@pytest.mark.parametrize("starter", _STARTERS, ids=lambda starter: starter.name)
def test_a_card_has_the_address_and_the_size_of_the_catalogue(starter: _Starter) -> None:
    sizes = {file.url: file.size for item in shipped_sets() for choice in item.choices for file in choice.files}
    repository, _, name = starter.source.removeprefix("hf:").rpartition("/")
    assert sizes[f"https://huggingface.co/{repository}/resolve/main/{name}"] == starter.size_bytes
