"""Which tensor gets which type: the library's fixed rules, and the user's ``PATTERN=TYPE`` rules before them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from sdrest.core.errors import InvalidInput
from sdrest.core.tensor_types import WRITABLE, TensorType, parse_writable_type

_PATTERN_LIMIT, _RULES_LIMIT = 200, 64
_INTEGERS = frozenset({TensorType.I8, TensorType.I16, TensorType.I32, TensorType.I64, TensorType.U8, TensorType.BOOL})

#: Parts of names whose tensors keep their type, with the model they matter for (``tensor_should_be_converted``).
_KEPT_PARTS: tuple[tuple[str, str], ...] = (
    ("img_in.", "Flux input"),
    ("txt_in.", "Flux input"),
    ("time_in.", "Flux input"),
    ("vector_in.", "Flux input"),
    ("guidance_in.", "Flux input"),
    ("final_layer.", "final layer"),
    ("x_embedder.", "embedder"),
    ("t_embedder.", "embedder"),
    ("y_embedder.", "embedder"),
    ("pos_embed", "position embedding"),
    ("context_embedder.", "embedder"),
    ("time_embed.", "time embedding"),
    ("label_emb.", "label embedding"),
    ("embedding", "embedding"),
)

#: Beginnings of names that the library never reads (``is_unused_tensor``).
UNUSED: tuple[str, ...] = (
    "betas",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "cond_stage_model.transformer.text_model.embeddings.position_ids",
    "cond_stage_model.1.model.text_model.embeddings.position_ids",
    "cond_stage_model.transformer.vision_model.embeddings.position_ids",
    "cond_stage_model.model.logit_scale",
    "conditioner.embedders.0.transformer.text_model.embeddings.position_ids",
    "conditioner.embedders.0.model.logit_scale",
    "conditioner.embedders.1.model.logit_scale",
    "model.diffusion_model.time_embedding.cond_proj.weight",
    "unet.time_embedding.cond_proj.weight",
    "model_ema.decay",
    "model_ema.num_updates",
    "model_ema.diffusion_model",
    "embedding_manager",
    "denoiser.sigmas",
    "text_encoders.t5xxl.transformer.encoder.embed_tokens.weight",
    "ztsnr",
    "edm_vpred.sigma_min",
    "text_encoders.llm.output.weight",
    "text_encoders.llm.lm_head.",
    "first_stage_model.bn.",
)


@dataclass(frozen=True, slots=True)
class TypeRule:
    """Tensors whose names contain a match of ``pattern`` get ``type``."""

    pattern: str
    type: TensorType

    def matches(self, name: str) -> bool:
        """Whether a tensor of this name is meant."""
        return _compiled(self.pattern).search(name.encode(errors="replace")) is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """The type that a tensor is written in; ``kept`` says why it is not the one asked for."""

    type: TensorType
    kept: str | None = None


def parse_rules(text: str) -> tuple[TypeRule, ...]:
    """Rules such as ``^vae\\.=f16,model\\.=q8_0``; the first that matches a name counts.

    Patterns are regular expressions of RE2. Raises :class:`InvalidInput` for a rule that is malformed (the library ignores
    those, or ends the process).
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > _RULES_LIMIT:
        raise InvalidInput(f"at most {_RULES_LIMIT} rules are taken", field="rules")
    return tuple(_parse_rule(part) for part in parts)


def _parse_rule(part: str) -> TypeRule:
    pattern, equals, name = part.rpartition("=")
    if not equals or not pattern:
        raise InvalidInput(f"{part!r} is no rule; write PATTERN=TYPE, for example ^vae\\.=f16", field="rules")
    if len(pattern) > _PATTERN_LIMIT:
        raise InvalidInput(f"a pattern has at most {_PATTERN_LIMIT} characters", field="rules")
    kind = parse_type(name, field="rules")
    _compiled(pattern)
    return TypeRule(pattern, kind)


@functools.lru_cache(maxsize=_RULES_LIMIT)
def _compiled(pattern: str) -> Any:
    """A pattern whose search takes time proportional to the text, whatever it is: with backtracking, one rule of a few
    characters would occupy the server for ever.

    Raises :class:`InvalidInput` for what is no regular expression.
    """
    import re2  # noqa: PLC0415 - few conversions have rules

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except UnicodeEncodeError:
        raise InvalidInput("a pattern holds what is no text", field="rules") from None
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise InvalidInput(
            f"{pattern!r} is no regular expression that is taken (no look-around, no back-references): {reason}",
            field="rules",
        ) from None


def parse_type(name: str, field: str = "type") -> TensorType:
    """A writable type by name, case ignored. Raises :class:`InvalidInput` listing what can be written."""
    found = parse_writable_type(name)
    if found is None:
        known = ", ".join(kind.value for kind in WRITABLE)
        raise InvalidInput(f"unknown type {name.strip()!r}; types that can be written: {known}", field=field)
    return found.type


def is_unused(name: str) -> bool:
    """Whether the library never reads a tensor of this name."""
    return name.startswith(UNUSED)


def choose(
    name: str, shape: tuple[int, ...], source: TensorType, target: TensorType | None, rules: tuple[TypeRule, ...]
) -> Choice:
    """The type in which one tensor is written.

    ``source`` is its type as the library reads it; ``target`` None keeps all types that no rule changes.
    """
    wanted = next((rule.type for rule in rules if rule.matches(name)), target)
    if wanted is None or wanted is source:
        return Choice(source)
    reason = keeps_type(name, shape, source, wanted)
    return Choice(source, reason) if reason else Choice(wanted)


def keeps_type(name: str, shape: tuple[int, ...], source: TensorType, wanted: TensorType) -> str | None:
    """Why a tensor keeps its type although ``wanted`` was asked for, or None when it does not."""
    if source in _INTEGERS:
        return "integers"
    if wanted.is_quantized and shape[-1] % wanted.layout.block:
        return f"rows of {shape[-1]} are no whole blocks of {wanted.layout.block}"
    if name.endswith(".bias"):
        return "bias"
    if name.endswith(".scale"):
        return "scale"
    return next((reason for part, reason in _KEPT_PARTS if part in name), None)
