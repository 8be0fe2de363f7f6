"""ComfyUI's graphs: the settings of the sampler that makes the picture, and what leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Node = Mapping[str, Any]

_DEPTH: Final = 60
_TEXTS: Final = ("text", "text_g", "clip_l", "t5xxl", "text_l", "prompt", "string", "value", "text_positive")
_MODELS: Final = ("ckpt_name", "unet_name", "model_name", "gguf_name")
#: Inputs that lead away from what a prompt says.
_NOT_WORDS: Final = frozenset({"clip", "vae", "model", "control_net", "image", "pixels", "samples", "mask"})
#: Nodes that throw away what they are given.
_EMPTYING: Final = frozenset({"ConditioningZeroOut"})


class Graph:
    """A graph in the form in which ComfyUI is asked for pictures: nodes by id, with ``class_type`` and ``inputs``."""

    def __init__(self, nodes: Mapping[str, Any]) -> None:
        self._nodes: dict[str, Node] = {
            str(name): node
            for name, node in nodes.items()
            if isinstance(node, Mapping) and isinstance(node.get("inputs"), Mapping)
        }

    def settings(self) -> dict[str, str]:
        """What is found, under A1111's names; empty when no sampler is there."""
        sampler = self._sampler()
        if sampler is None:
            return {}
        guider = self._node(sampler, "guider") or sampler
        sigmas = self._node(sampler, "sigmas") or sampler
        found = {
            "prompt": self._words(guider, "positive") or self._words(guider, "conditioning"),
            "negative_prompt": self._words(guider, "negative"),
            "Steps": self._plain(sigmas, "steps"),
            "Sampler": self._plain(self._node(sampler, "sampler") or sampler, "sampler_name"),
            "Schedule type": self._plain(sigmas, "scheduler"),
            "CFG scale": self._plain(guider, "cfg"),
            "Seed": self._seed(sampler),
            "Denoising strength": self._plain(sigmas, "denoise"),
            **self._along_model(guider if guider.get("inputs", {}).get("model") else sigmas),
            **self._along(guider, "positive", "conditioning", "Distilled CFG Scale", "guidance"),
            **self._size(sampler),
        }
        if found["Denoising strength"] in {"1", "1.0"}:
            del found["Denoising strength"]
        return {name: value for name, value in found.items() if value}

    def _sampler(self) -> Node | None:
        """The sampler that begins from noise, where there are several."""
        samplers = [
            node
            for node in self._nodes.values()
            if "Sampler" in str(node.get("class_type"))
            and {"steps", "sigmas"} & node["inputs"].keys()
            and {"latent_image", "latent", "positive", "guider"} & node["inputs"].keys()
        ]
        # Python's sort keeps the order of the graph among equals.
        return min(samplers, key=lambda node: -_number(self._plain(node, "denoise"), 1.0), default=None)

    def _node(self, node: Node, name: str) -> Node | None:
        """The node that an input comes from."""
        link = node["inputs"].get(name)
        return self._nodes.get(str(link[0])) if isinstance(link, list) and link else None

    def _plain(self, node: Node, name: str, depth: int = 0) -> str:
        """The value of an input, also when a node of its own holds it."""
        value = node["inputs"].get(name)
        if isinstance(value, bool) or value is None or depth > _DEPTH:
            return ""
        if not isinstance(value, list):
            return f"{value:g}" if isinstance(value, float) else str(value)
        source = self._node(node, name)
        for inner in (name, "value", "int", "float", "string", "seed", "noise_seed") if source else ():
            assert source is not None
            if text := self._plain(source, inner, depth + 1):
                return text
        return ""

    def _seed(self, sampler: Node) -> str:
        noise = self._node(sampler, "noise") or sampler
        return next(filter(None, (self._plain(noise, name) for name in ("seed", "noise_seed"))), "")

    def _words(self, node: Node, name: str, seen: frozenset[int] = frozenset()) -> str:
        """The first text on the way from an input back to where its words are."""
        source = self._node(node, name)
        if source is None or id(source) in seen or len(seen) > _DEPTH or source.get("class_type") in _EMPTYING:
            return ""
        seen |= {id(source)}
        inputs = source["inputs"]
        for key in _TEXTS:
            if isinstance(inputs.get(key), str) and inputs[key].strip():
                return str(inputs[key]).strip()
        slot = node["inputs"][name][1] if len(node["inputs"][name]) > 1 else 0
        if {"positive", "negative"} <= inputs.keys():
            return self._words(source, "negative" if slot == 1 else "positive", seen)
        links = [key for key, value in inputs.items() if isinstance(value, list) and key not in _NOT_WORDS]
        return next(filter(None, (self._words(source, key, seen) for key in links)), "")

    def _along_model(self, node: Node) -> dict[str, str]:
        """The model file, and the LoRAs between it and the sampler."""
        loras: list[str] = []
        found: dict[str, str] = {}
        for source in self._back(node, "model"):
            inputs = source["inputs"]
            if isinstance(inputs.get("lora_name"), str):
                loras.append(f"{_stem(inputs['lora_name'])}: {_number(self._plain(source, 'strength_model'), 1.0):g}")
            model = next((inputs[key] for key in _MODELS if isinstance(inputs.get(key), str)), "")
            if model:
                found["Model"] = _stem(model)
                break
        if loras:
            found["Lora"] = ", ".join(reversed(loras))
        return found

    def _along(self, node: Node, first: str, other: str, name: str, key: str) -> dict[str, str]:
        """A number on the way from one of two inputs."""
        for source in self._back(node, first if first in node["inputs"] else other):
            if text := self._plain(source, key):
                return {name: text}
        return {}

    def _back(self, node: Node, name: str) -> Iterator[Node]:
        """The nodes on the way back from an input, as long as they have an input of the same name or of a conditioning."""
        seen: set[int] = set()
        source = self._node(node, name)
        while source is not None and id(source) not in seen:
            seen.add(id(source))
            yield source
            source = self._node(source, name) or self._node(source, "conditioning")

    def _size(self, sampler: Node) -> dict[str, str]:
        latent = self._node(sampler, "latent_image") or self._node(sampler, "latent")
        if latent is None:
            return {}
        width, height = self._plain(latent, "width"), self._plain(latent, "height")
        return {"Size": f"{width}x{height}"} if width and height else {}


def _number(text: str, otherwise: float) -> float:
    try:
        return float(text)
    except ValueError:
        return otherwise


def _stem(path: str) -> str:
    """A file's name without its folders and its ending."""
    name = path.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending in {"safetensors", "ckpt", "gguf", "sft", "pt", "pth", "bin"} else name
