"""Which files the engine loads for a job, and how they are held.

A context that can encode pictures does everything that one without an encoder does, so the encoder is loaded whenever the files
hold one: no job meets a context that would end the process on its initial picture, and none causes a reload for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sdrest.core.errors import InvalidInput
from sdrest.core.model import Component, Loading, Model
from sdrest.core.names import LoraApplyMode, PreviewMode
from sdrest.core.parameters import Components, GenerationParameters
from sdrest.engine.messages import ContextSpec
from sdrest.planning.holding import Holding
from sdrest.planning.loras_and_embeddings import Adapters
from sdrest.registry.loading import best_candidate, resolve_loading
from sdrest.registry.registry import Registry

#: Parameter field by component.
COMPONENT_FIELDS: Final = {
    Component.VAE: "vae_model",
    Component.TAESD: "taesd_model",
    Component.CLIP_L: "clip_l_model",
    Component.CLIP_G: "clip_g_model",
    Component.T5XXL: "t5xxl_model",
    Component.LLM: "llm_model",
    Component.LLM_VISION: "llm_vision_model",
    Component.CLIP_VISION: "clip_vision_model",
    Component.HIGH_NOISE: "high_noise_model",
    Component.CONTROLNET: "control_net_model",
    Component.PHOTOMAKER: "photo_maker_model",
}


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """A context and what is known of it before it is loaded."""

    spec: ContextSpec
    #: Whether it can turn pictures into latents.
    encodes: bool
    #: Bytes of all weights, as the headers tell.
    weights_bytes: int
    #: Bytes of the largest file's weights.
    largest_bytes: int = 0

    @property
    def offloads(self) -> bool:
        """Whether the weights stay in the machine's memory and come to the device file by file."""
        return "offload_params_to_cpu" in dict(self.spec.options)


class ContextBuilder:
    """Makes the engine's contexts from the registry's files."""

    def __init__(self, registry: Registry, holding: Holding) -> None:
        self._registry = registry
        self._holding = holding

    def plan(self, model: Model, parameters: GenerationParameters, adapters: Adapters | None = None) -> ContextPlan:
        """The context for a job on ``model``.

        Raises:
            ModelUnusable: required parts are missing, or the model's JSON file says how to hold it in words that are none.
            InvalidInput: a chosen component does not exist or does not fit; problems are named by parameter field.
        """
        chosen = chosen_components(parameters)
        options = self._holding.of_model(model).options() | {"lora_apply_mode": str(parameters.lora_apply_mode)}
        try:
            if parameters.preview is PreviewMode.TAE and Component.TAESD not in chosen:
                chosen |= self._preview_decoder(model, chosen, options)
            loading = resolve_loading(self._registry.catalogue, model, chosen)
        except InvalidInput as error:
            raise InvalidInput(
                dataclasses.replace(problem, field=_field_of(problem.field)) for problem in error.problems
            ) from None
        if adapters:
            _check_high_noise(adapters, loading, self._quantized(model, loading), parameters.lora_apply_mode)
        encodes = self._encodes(model, loading, preview_only="tae_preview_only" in options)
        if not encodes:
            options["vae_decode_only"] = True
        for name in ("circular_x", "circular_y"):
            if getattr(parameters, name):
                options[name] = True
        spec = ContextSpec(
            files=_files(loading),
            embeddings=adapters.embeddings if adapters else (),
            options=tuple(sorted(options.items())),
        )
        parts = (self._registry.catalogue.get(part) for part in loading.components.values())
        largest = max(part.weights_bytes for part in (model, *parts) if part is not None)
        return ContextPlan(spec, encodes, loading.weights_bytes, largest)

    def _preview_decoder(
        self, model: Model, chosen: Mapping[Component, str], options: dict[str, bool | int | float | str]
    ) -> dict[Component, str]:
        """A tiny autoencoder for previews only, where the model has a full one for the pictures themselves."""
        catalogue = self._registry.catalogue
        if Component.TAESD in model.embedded or Component.TAESD in resolve_loading(catalogue, model, chosen).components:
            return {}
        found = best_candidate(catalogue, Component.TAESD, model)
        if found is None:
            raise InvalidInput(
                "previews by tae need a tiny autoencoder (TAESD) that fits this model; none is registered, use proj",
                field="preview",
            )
        options["tae_preview_only"] = True
        return {Component.TAESD: found.id}

    def _quantized(self, model: Model, loading: Loading) -> bool:
        """Whether any weight of the context is quantized: the library then applies LoRAs at run time."""
        parts = (self._registry.catalogue.get(part) for part in loading.components.values())
        return any(kind.is_quantized for file in (model, *parts) if file is not None for kind in file.types)

    def _encodes(self, model: Model, loading: Loading, *, preview_only: bool) -> bool:
        """Whether the autoencoder in effect has an encoder: TAESD goes before a VAE file, that before the model's own."""
        for component in (Component.TAESD, Component.VAE):
            if component in loading.components and not (preview_only and component is Component.TAESD):
                part = self._registry.catalogue.get(loading.components[component])
                return part is not None and not part.traits.get("decoder_only")
        return not model.traits.get("decoder_only")


def chosen_components(parameters: Components) -> dict[Component, str]:
    """The components that the parameters name."""
    named = {component: getattr(parameters, field) for component, field in COMPONENT_FIELDS.items()}
    return {component: name for component, name in named.items() if name}


def _check_high_noise(adapters: Adapters, loading: Loading, quantized: bool, mode: LoraApplyMode) -> None:
    """Refuse LoRAs for the high-noise model that would have no effect.

    Applied at run time, they are dropped (``is_diffusion_model_name`` does not know that model's tensors).
    """
    if not any(lora.high_noise for lora in adapters.loras):
        return
    if loading.high_noise_diffusion_model_path is None:
        raise InvalidInput("high_noise has no meaning here: the model has no high-noise half", field="loras")
    if mode is LoraApplyMode.AT_RUNTIME or quantized:
        why = (
            "lora_apply_mode is at_runtime" if mode is LoraApplyMode.AT_RUNTIME else "a file of this model is quantized"
        )
        raise InvalidInput(
            f"the library applies a high_noise LoRA only immediately, to unquantized weights: {why}", field="loras"
        )


def _field_of(component: str) -> str:
    return next((field for part, field in COMPONENT_FIELDS.items() if part.value == component), component)


def _files(loading: Loading) -> tuple[tuple[str, str], ...]:
    names = [field.name for field in dataclasses.fields(loading) if field.name.endswith("_path")]
    return tuple((name.removesuffix("_path"), str(getattr(loading, name))) for name in names if getattr(loading, name))
