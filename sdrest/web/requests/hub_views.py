"""What the routes and the pages share of models on hubs."""

from __future__ import annotations

from typing import Final

from sdrest.registry.catalogue import Catalogue
from sdrest.work.hubs.values import HubModel

#: File names that tell nothing of what is in them.
_GENERAL: Final = frozenset(
    {
        "model.safetensors",
        "diffusion_pytorch_model.safetensors",
        "pytorch_lora_weights.safetensors",
        "pytorch_model.bin",
    }
)


def preview_url(key: str) -> str:
    """Where the picture with this key is."""
    return f"/api/hubs/previews/{key}"


def here_of(catalogue: Catalogue) -> tuple[frozenset[str], frozenset[str]]:
    """File names and hashes of all models that are here."""
    return (
        frozenset(model.file_name for model in catalogue.models),
        frozenset(model.sha256 for model in catalogue.models if model.sha256),
    )


def is_here(here: tuple[frozenset[str], frozenset[str]], model: HubModel) -> bool:
    """Whether a file of a hub's model is here, by hash or by name."""
    names, hashes = here
    return any(
        file.sha256 in hashes or ((name := file.name.rpartition("/")[2]) in names and name not in _GENERAL)
        for file in model.files
    )
