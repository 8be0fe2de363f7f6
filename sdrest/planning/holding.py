"""How models are held in memory and computed on: as the server's settings say, and as a model's own JSON file says better."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, Self

from sdrest.core.errors import ModelUnusable, did_you_mean
from sdrest.core.model import Model
from sdrest.engine.cores import share_of, usable_cores
from sdrest.engine.engines import Engines
from sdrest.engine.last_model import LastModel
from sdrest.settings import Settings

_GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """The settings of the same names; each is a field of ``sd_ctx_params_t``, so that another value is another loaded model."""

    #: Threads of one engine; 0: the library's own number.
    threads: int = 0
    offload_weights: bool = False
    text_encoders_on_cpu: bool = False
    vae_on_cpu: bool = False
    control_net_on_cpu: bool = False
    map_weights: bool = False
    flash_attention: bool = False
    diffusion_conv_direct: bool = False
    vae_conv_direct: bool = False
    max_graph_bytes: int = 0

    @classmethod
    def of(cls, settings: Settings, *, threads: int) -> Self:
        """What holds for all models of a server."""
        names = [field.name for field in dataclasses.fields(cls) if field.name != "threads"]
        return cls(threads=threads, **{name: getattr(settings, name) for name in names})

    def of_model(self, model: Model) -> Self:
        """This, as far as the model's own JSON file says nothing else (``holding``).

        Raises:
            ModelUnusable: a name there is none, or its value is of another kind.
        """
        for name, value in model.holding.items():
            known = [field.name for field in dataclasses.fields(self)]
            if name not in known:
                raise ModelUnusable(
                    f"the JSON file of {model.name}: holding has no {name!r}{did_you_mean(name, known)}; "
                    f"it may have {', '.join(known)}"
                )
            if type(value) is not type(getattr(self, name)) or value < 0:
                kind = "true or false" if isinstance(getattr(self, name), bool) else "a whole number from 0 on"
                raise ModelUnusable(f"the JSON file of {model.name}: holding.{name} must be {kind}, not {value!r}")
        return dataclasses.replace(self, **dict[str, Any](model.holding))

    def options(self) -> dict[str, bool | int | float | str]:
        """The fields of ``binding.ContextParams`` that differ from the library's own."""
        given = {
            "threads": self.threads,
            "offload_params_to_cpu": self.offload_weights,
            "keep_clip_on_cpu": self.text_encoders_on_cpu,
            "keep_vae_on_cpu": self.vae_on_cpu,
            "keep_control_net_on_cpu": self.control_net_on_cpu,
            "enable_mmap": self.map_weights,
            "diffusion_flash_attn": self.flash_attention,
            "diffusion_conv_direct": self.diffusion_conv_direct,
            "vae_conv_direct": self.vae_conv_direct,
            "max_vram": self.max_graph_bytes / _GIB,
        }
        return {name: value for name, value in given.items() if value}


def load_last_models(engines: Engines, settings: Settings) -> None:
    """Begin to load what each engine had loaded last, unless the settings say no."""
    if not settings.load_last_model:
        return
    holding = Holding.of(settings, threads=settings.threads or share_of(usable_cores(), len(engines)))
    for engine in engines:
        LastModel(
            engine,
            settings.data_dir / "engines" / f"{engine.name}.json",
            holding=repr(holding),
            budget_bytes=settings.memory_budget_bytes,
        ).begin()
