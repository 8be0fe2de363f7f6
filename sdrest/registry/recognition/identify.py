"""What a model file is: its type, architecture, the parts it holds and the widths that decide what fits.

Each ``_match_…`` function looks for one kind of file and returns an :class:`Identity` or None; the first that answers
wins, so the most specific kinds come first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isqrt

from sdrest.core.architecture import Architecture
from sdrest.core.model import Component, LoadingMethod, ModelFormat, ModelType, Problem
from sdrest.registry.readers.header import Header
from sdrest.registry.recognition.lora import lora_architecture
from sdrest.registry.recognition.shapes import check_shapes
from sdrest.registry.recognition.versions import Names, library_version, ne, unet_version, wan_variant

_DIFFUSION = "model.diffusion_model."


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file was recognised as. ``type`` is None when the tensors say nothing that the library knows."""

    type: ModelType | None
    architecture: Architecture | None = None
    loading_method: LoadingMethod | None = None
    variant: str | None = None
    embedded: frozenset[Component] = frozenset()
    traits: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def identify(header: Header) -> Identity:
    """Recognise a model by its tensors' names and shapes."""
    names = Names(header.tensors)
    for match in _MATCHERS:
        found = match(names, header)
        if found is not None:
            return found
    return Identity(None)


def _match_lora(names: Names, header: Header) -> Identity | None:
    if not names.any_of(
        ".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", "_lora.down.", "lora.down.weight", ".hada_w1_a", ".lokr_w1"
    ):
        return None
    if names.any_of("fuse_module.", "qformer_perceiver."):
        return _photomaker(names)
    return Identity(ModelType.LORA, lora_architecture(names, header.metadata))


def _match_photomaker(names: Names, _: Header) -> Identity | None:
    return _photomaker(names) if names.any_of("fuse_module.", "qformer_perceiver.") else None


def _photomaker(names: Names) -> Identity:
    variant = "PhotoMaker v2" if names.has("qformer_perceiver.") else "PhotoMaker v1"
    return Identity(ModelType.PHOTOMAKER, Architecture.SDXL, variant=variant)


def _match_controlnet(names: Names, _: Header) -> Identity | None:
    if names.any_of("controlnet_cond_embedding.", "controlnet_blocks.", "controlnet_down_blocks."):
        problem = Problem(
            "unsupported_layout",
            "a ControlNet in the diffusers layout; the library loads the original layout (control_model.…) only",
        )
        return Identity(ModelType.CONTROLNET, problems=(problem,))
    if not (names.has("zero_convs.") and names.has("input_hint_block.")):
        return None
    width = ne(names.find("attn2.to_k.weight"), 0)
    architecture = {768: Architecture.SD1, 1024: Architecture.SD2, 2048: Architecture.SDXL}.get(width)
    return Identity(ModelType.CONTROLNET, architecture, traits={"context_width": width})


def _match_main(names: Names, header: Header) -> Identity | None:
    """A file with diffusion tensors, under their full names or as a bare diffusion model."""
    if names.any_of(_DIFFUSION, "unet.down_blocks."):
        embedded = _embedded(names)
        architecture = library_version(names) or unet_version(names)
        whole = bool(embedded & _TEXT_ENCODERS) or header.format is ModelFormat.DIFFUSERS
        # Given as a diffusion model, every name outside the prefix would get it: other parts would be lost.
        bare = not embedded and all(name.startswith(_DIFFUSION) for name in names.shapes)
        method = LoadingMethod.DIFFUSION_MODEL_PATH if bare else LoadingMethod.MODEL_PATH
        kind = ModelType.CHECKPOINT if whole else ModelType.DIFFUSION_MODEL
        if architecture is not None:
            return _main(names, kind, architecture, method, embedded)
        return Identity(kind, None, method, embedded=embedded, problems=(_UNKNOWN_DIFFUSION,))
    prefixed = Names(header.tensors, _DIFFUSION)
    architecture = library_version(prefixed)
    if architecture is None or not _has_diffusion_evidence(names, architecture):
        architecture = unet_version(prefixed)
    if architecture is not None:
        return _main(
            prefixed,
            ModelType.DIFFUSION_MODEL,
            architecture,
            LoadingMethod.DIFFUSION_MODEL_PATH,
            frozenset[Component](),
        )
    if names.starting("down_blocks.") and names.starting("mid_block.") and names.starting("conv_in."):
        problem = Problem(
            "unsupported_layout",
            "a U-Net in the diffusers layout; the library loads it as part of its diffusers folder only",
        )
        return Identity(ModelType.DIFFUSION_MODEL, problems=(problem,))
    if names.starting("transformer_blocks.0.") and names.any_of("context_embedder.", "x_embedder."):
        return Identity(ModelType.DIFFUSION_MODEL, problems=(_UNKNOWN_DIFFUSION,))
    return None


_UNKNOWN_DIFFUSION = Problem(
    "unknown_architecture", "a diffusion model of an architecture that the library does not know"
)
_TEXT_ENCODERS = frozenset({Component.CLIP_L, Component.CLIP_G, Component.T5XXL, Component.LLM})
_CLIP_VERSIONS = frozenset(
    {Architecture.SD1, Architecture.SD2, Architecture.SDXS_512_DS, Architecture.SDXS_09}
    | {Architecture.SD1_TINY_UNET, Architecture.SD2_TINY_UNET}
)


def _has_diffusion_evidence(names: Names, architecture: Architecture) -> bool:
    """Guard against a text encoder alone, from whose width the library concludes SD 1 or SD 2."""
    return architecture not in _CLIP_VERSIONS or names.starting("input_blocks.")


def _main(
    names: Names,
    kind: ModelType,
    architecture: Architecture,
    method: LoadingMethod,
    embedded: frozenset[Component],
) -> Identity:
    problems = tuple(check_shapes(names, architecture))
    variant = None
    if architecture in {Architecture.WAN2, Architecture.WAN2_2_I2V, Architecture.WAN2_2_TI2V}:
        variant = wan_variant(names, architecture)
        if variant is None:
            problems += (Problem("layer_count", "a Wan model must have 30 or 40 layers; the library aborts on others"),)
    traits = _main_traits(names)
    return Identity(kind, architecture, method, variant, embedded, traits, problems)


def _main_traits(names: Names) -> dict[str, int]:
    traits: dict[str, int] = {}
    # Width of the text states that the diffusion model takes.
    for word in (
        _DIFFUSION + "txt_in.weight",
        _DIFFUSION + "cap_embedder.1.weight",
        _DIFFUSION + "text_proj.weight",
        _DIFFUSION + "text_embedding.0.weight",
        "attn2.to_k.weight",
    ):
        shape = names.find(word)
        if shape is not None:
            traits["context_width"] = ne(shape, 0)
            break
    if names.has(_DIFFUSION + "guidance_in.in_layer.weight"):
        traits["guidance"] = 1
    if names.has("img_emb."):
        traits["clip_vision"] = 1
    if names.has("vace_blocks."):
        traits["vace"] = 1
    channels = _latent_channels(names)
    if channels:
        traits["latent_channels"] = channels
    if names.any_of("first_stage_model.", "vae.", "tae.") and not _has_encoder(names):
        traits["decoder_only"] = 1
    return traits


def _embedded(names: Names) -> frozenset[Component]:
    found = {component for component, starts in _EMBEDDED_STARTS if any(names.starting(s) for s in starts)}
    if Component.CLIP_G in found and not any(names.starting(s) for s in _FIRST_CLIP):
        found.discard(Component.CLIP_L)
    return frozenset(found)


_FIRST_CLIP = (
    "cond_stage_model.transformer.",
    "cond_stage_model.model.",
    "conditioner.embedders.0.",
    "te.text_model.",
    "text_encoders.clip_l.",
)
_EMBEDDED_STARTS: tuple[tuple[Component, tuple[str, ...]], ...] = (
    (Component.CLIP_L, _FIRST_CLIP),
    (Component.CLIP_G, ("cond_stage_model.1.", "conditioner.embedders.1.", "text_encoders.clip_g.", "te.1.")),
    (Component.T5XXL, ("text_encoders.t5xxl.",)),
    (Component.LLM, ("text_encoders.llm.",)),
    (Component.LLM_VISION, ("text_encoders.llm.visual.",)),
    (Component.CLIP_VISION, ("cond_stage_model.transformer.vision_model.",)),
    (Component.VAE, ("first_stage_model.", "vae.")),
    (Component.TAESD, ("tae.",)),
    (Component.HIGH_NOISE, ("model.high_noise_diffusion_model.",)),
)


def component_of(tensor: str) -> Component | None:
    """The part of a main file that a tensor of this name belongs to; None for the diffusion model's own."""
    fitting = ((len(start), part) for part, starts in _EMBEDDED_STARTS for start in starts if tensor.startswith(start))
    return max(fitting, default=(0, None), key=lambda found: found[0])[1]


def _latent_channels(names: Names) -> int:
    """Channels of the latents that an autoencoder in these tensors decodes, 0 when there is none."""
    shape = names.find("decoder.conv_in.weight")
    if shape is not None:
        return shape[1] if len(shape) >= 4 else 0
    if names.find("decoder.conv1.weight") is None:
        return 0
    # A square 1×1×1 convolution over the latents; GGUF files fold its two channel dimensions into one.
    square = names.find("conv2.weight")
    return isqrt(square[0] * square[1] if len(square) == 5 else square[0]) if square else 0


def _has_encoder(names: Names) -> bool:
    """Whether an autoencoder in these tensors (KL, Wan's, TAESD, TAEHV) turns pictures into latents too."""
    return names.any_of("encoder.conv_in.weight", "encoder.conv1.weight", "encoder.layers.0.weight", "encoder.0.weight")


def _match_autoencoder(names: Names, _: Header) -> Identity | None:
    half = {} if _has_encoder(names) else {"decoder_only": 1}
    tiny = names.find("decoder.layers.0.weight")
    if tiny is not None and len(tiny) == 4:
        return Identity(ModelType.TAESD, variant="TAESD", traits={"latent_channels": tiny[1]} | half)
    video = names.find("decoder.1.weight")
    if video is not None and len(video) == 4 and names.has("decoder.3.conv.0.weight"):
        return Identity(ModelType.TAESD, variant="TAEHV", traits={"latent_channels": video[1], "video": 1} | half)
    if names.starting("1.weight") and names.starting("3.conv.0.weight"):
        problem = Problem("unsupported_layout", "a TAESD half without its decoder.layers names; use the diffusers file")
        return Identity(ModelType.TAESD, problems=(problem,))
    channels = _latent_channels(names)
    if not channels:
        return None
    traits = {"latent_channels": channels} | half
    if names.has("decoder.conv1.weight"):
        return Identity(ModelType.VAE, variant="Wan VAE", traits=traits | {"video": 1})
    return Identity(ModelType.VAE, variant="KL", traits=traits)


def _match_vision(names: Names, header: Header) -> Identity | None:
    if names.starting("v.blk.0.") or header.metadata.get("general.architecture") == "clip":
        return Identity(ModelType.LLM_VISION)
    if names.has("vision_model.encoder.layers.0.") and not names.has("text_model.encoder."):
        width = ne(names.find("vision_model.embeddings.patch_embedding.weight"), 3)
        return Identity(ModelType.CLIP_VISION, traits={"hidden_size": width})
    return None


def _match_text_encoder(names: Names, _: Header) -> Identity | None:
    if names.any_of("block.0.layer.0.SelfAttention.q.weight", "enc.blk.0.attn_q.weight"):
        tokens = names.find("shared.weight") or names.find("token_embd.weight") or names.find("embed_tokens.weight")
        traits = {"hidden_size": ne(tokens, 0), "vocabulary": ne(tokens, 1)}
        variant = "UMT5" if traits["vocabulary"] > 200_000 else "T5"
        return Identity(ModelType.T5XXL, variant=variant, traits=traits)
    tokens = names.find("token_embedding.weight")
    if tokens is not None and len(tokens) == 2:
        width = ne(tokens, 0)
        traits = {"hidden_size": width, "vocabulary": ne(tokens, 1)}
        return Identity(ModelType.CLIP_G if width == 1280 else ModelType.CLIP_L, traits=traits)
    tokens = names.find("embed_tokens.weight") or names.find("token_embd.weight")
    if tokens is not None and len(tokens) == 2:
        traits = {"hidden_size": ne(tokens, 0), "vocabulary": ne(tokens, 1)}
        if names.any_of("visual.patch_embed.", "visual.blocks."):
            traits["vision"] = 1
        return Identity(ModelType.LLM, traits=traits)
    return None


def _match_upscaler(names: Names, _: Header) -> Identity | None:
    if names.has("body.0.rdb1.conv1.weight") and names.has("conv_first.weight"):
        scale = 4 if names.has("conv_up2.weight") else 2 if names.has("conv_up1.weight") else 1
        return _esrgan(scale, names.count_blocks("body."))
    if names.has("model.0.weight") and names.has(".RDB1.conv1.0.weight"):
        top = names.count_blocks("\nmodel.") - 1
        scale = {4: 1, 7: 2, 10: 4}.get(top, 4)
        return _esrgan(scale, max(0, names.count_blocks("model.1.sub.") - 1))
    if names.any_of("upsample.0.weight", "layers.0.residual_group.", "body.0.weight") and names.any_of(
        "conv_first.weight", "body.1.weight"
    ):
        problem = Problem(
            "unsupported_layout", "an upscaler of another kind than ESRGAN (RRDBNet), which the library needs"
        )
        return Identity(ModelType.ESRGAN, problems=(problem,))
    return None


def _esrgan(scale: int, blocks: int) -> Identity:
    return Identity(ModelType.ESRGAN, variant=f"RRDBNet ×{scale}", traits={"scale": scale, "blocks": blocks})


_EMBEDDING_NAMES = frozenset({"emb_params", "clip_l", "clip_g", "t5xxl", "*"})
_TEXT_WIDTHS = {768: Architecture.SD1, 1024: Architecture.SD2, 1280: Architecture.SDXL}


def _match_embedding(names: Names, _: Header) -> Identity | None:
    if not 1 <= len(names.shapes) <= 4:
        return None
    widths = [shape[-1] for shape in names.shapes.values() if len(shape) in {1, 2}]
    named = any(name in _EMBEDDING_NAMES or name.startswith("<") for name in names.shapes)
    if len(widths) != len(names.shapes) or not all(width in _TEXT_WIDTHS for width in widths):
        return None
    if not named and len(names.shapes) > 1:
        return None
    architecture = Architecture.SDXL if 1280 in widths else _TEXT_WIDTHS[widths[0]]
    vectors = max(shape[0] if len(shape) == 2 else 1 for shape in names.shapes.values())
    return Identity(ModelType.EMBEDDING, architecture, traits={"hidden_size": widths[0], "vectors": vectors})


_Matcher = Callable[[Names, Header], Identity | None]
_MATCHERS: tuple[_Matcher, ...] = (
    _match_lora,
    _match_photomaker,
    _match_controlnet,
    _match_main,
    _match_vision,
    _match_text_encoder,
    _match_autoencoder,
    _match_upscaler,
    _match_embedding,
)
