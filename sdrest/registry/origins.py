"""Where a model came from, as the files beside it tell: its version on CivitAI, or its file on Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdrest.core.model import Model
from sdrest.registry.sidecars import load_sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a model came from; empty where nothing is known."""

    civitai_model: str = ""
    civitai_version: str = ""
    hf_repository: str = ""
    hf_file: str = ""
    #: The file's hash as its host told it.
    sha256: str = ""

    @property
    def is_known(self) -> bool:
        """Whether a hub can be asked for something newer without the file's hash."""
        return bool((self.civitai_model and self.civitai_version) or (self.hf_repository and self.hf_file))


def origin_of(model: Model) -> Origin:
    """The origin of a model. Reads the files beside it, so not on the event loop."""
    info = load_sidecar(model.path.with_name(f"{model.name}.civitai.info"))
    source = load_sidecar(model.path.with_name(f"{model.name}.metadata.json")).get("source")
    source = source if isinstance(source, dict) and source.get("hub") == "huggingface" else {}
    return Origin(
        civitai_model=_digits(info, "modelId"),
        civitai_version=_digits(info, "id"),
        hf_repository=_text(source, "repository"),
        hf_file=_text(source, "file"),
        sha256=(model.sha256 or _text(source, "sha256")).lower(),
    )


def _digits(data: Mapping[str, object], name: str) -> str:
    text = str(data.get(name, ""))
    return text if text.isascii() and text.isdecimal() else ""


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    return value[:500] if isinstance(value, str) else ""
