"""The settings in pictures of other programs, in every kind of file that they write, under one set of names."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from sdrest.outputs.written.reading import Written, read_written
from sdrest.web.requests.infotexts import form_texts_of_infotext

A1111 = (
    "a fox, 狐\nNegative prompt: dog\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, "
    "Size: 64x48, Model: fox"
)
SDCPP = (
    "a fox, 狐\nNegative prompt: dog\nSteps: 20, CFG scale: 6.500000, Guidance: 3.500000, Eta: 0.000000, Seed: 42, "
    "Size: 64x48, Model: fox.safetensors, RNG: cuda, Sampler: dpm++2m karras, Version: stable-diffusion.cpp, "
    'SDCPP: {"schema": "sdcpp.image.params/v1", "seed": 42, "prompt": {"positive": "a fox, 狐"}}'
)
COMFY: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": ["9", 0], "steps": 20, "cfg": 6.5, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 1.0,
            "model": ["7", 0], "positive": ["8", 0], "negative": ["8", 1], "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd/fox.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["12", 0], "clip": ["7", 1]}},
    "7": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "ink.safetensors", "strength_model": 0.8, "model": ["4", 0], "clip": ["4", 1]},
    },
    "8": {
        "class_type": "ControlNetApplyAdvanced",
        "inputs": {"positive": ["6", 0], "negative": ["10", 0], "strength": 1.0, "image": ["11", 0]},
    },
    "9": {"class_type": "PrimitiveInt", "inputs": {"value": 42}},
    "10": {"class_type": "CLIPTextEncode", "inputs": {"text": "dog", "clip": ["7", 1]}},
    "12": {"class_type": "PrimitiveString", "inputs": {"value": "a fox, 狐"}},
}  # fmt: skip
FLUX: dict[str, Any] = {
    "1": {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {"noise": ["2", 0], "guider": ["3", 0], "sampler": ["4", 0], "sigmas": ["5", 0], "latent_image": ["6", 0]},
    },
    "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 42}},
    "3": {"class_type": "BasicGuider", "inputs": {"model": ["7", 0], "conditioning": ["8", 0]}},
    "4": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "dpmpp_2m"}},
    "5": {"class_type": "BasicScheduler", "inputs": {"scheduler": "karras", "steps": 20, "denoise": 1, "model": ["7", 0]}},
    "6": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 48}},
    "7": {"class_type": "UnetLoaderGGUF", "inputs": {"unet_name": "fox.gguf"}},
    "8": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["9", 0]}},
    "9": {"class_type": "CLIPTextEncodeFlux", "inputs": {"clip_l": "", "t5xxl": "a fox, 狐", "clip": ["10", 0]}},
}  # fmt: skip
INVOKE = {
    "positive_prompt": "a fox, 狐", "negative_prompt": "dog", "width": 64, "height": 48, "seed": 42, "steps": 20,
    "cfg_scale": 6.5, "scheduler": "dpmpp_2m_k", "model": {"name": "fox", "base": "sd-1"},
    "loras": [{"model": {"name": "ink"}, "weight": 0.8}], "app_version": "5.6.0",
}  # fmt: skip
NOVEL = {
    "prompt": "a fox, 狐", "uc": "dog", "steps": 20, "scale": 6.5, "seed": 42, "width": 64, "height": 48,
    "sampler": "k_dpmpp_2m", "noise_schedule": "karras", "strength": 0.7, "request_type": "PromptGenerateRequest",
}  # fmt: skip
SWARM = {
    "sui_image_params": {
        "prompt": "a fox, 狐", "negativeprompt": "dog", "model": "sd/fox", "seed": 42, "steps": 20, "cfgscale": 6.5,
        "width": 64, "height": 48, "sampler": "dpmpp_2m", "scheduler": "karras", "loras": ["ink"], "loraweights": ["0.8"],
        "swarm_version": "0.9.6.2",
    },
    "sui_extra_data": {"date": "2026-01-25"},
}  # fmt: skip


def png(mode: str = "RGB", **texts: str) -> bytes:
    info, stream = PngImagePlugin.PngInfo(), io.BytesIO()
    for name, text in texts.items():
        info.add_itxt(name.replace("__", "-"), text)
    Image.new(mode, (64, 48)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def in_exif(form: str, tags: dict[int, str] | None = None, comment: bytes = b"", xmp: str = "") -> bytes:
    exif, stream = Image.Exif(), io.BytesIO()
    for tag, text in (tags or {}).items():
        exif[tag] = text
    if comment:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    options = {"xmp": xmp.encode()} if xmp else {}
    Image.new("RGB", (64, 48)).save(stream, form, exif=exif.tobytes(), **options)
    return stream.getvalue()


def unicode(text: str) -> bytes:
    return b"UNICODE\0" + text.encode("utf-16-be")


def with_hidden(payload: bytes, name: bytes = b"stealth_pngcomp", size: tuple[int, int] = (64, 48)) -> bytes:
    """A picture with a text in the lowest bits of its alpha channel, as NovelAI's own reader describes it."""
    bits = np.unpackbits(np.frombuffer(name + (8 * len(payload)).to_bytes(4, "big") + payload, np.uint8))
    alpha = np.full(size[0] * size[1], 255, np.uint8)
    alpha[: len(bits)] = 254 | bits
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    pixels[..., 3] = alpha.reshape(size[0], size[1]).T
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def xmp_of_sdcpp(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:sdcpp="https://github.com/leejet/stable-diffusion.cpp/ns/1.0/">'
        f"<sdcpp:parameters>{escaped}</sdcpp:parameters></rdf:Description></rdf:RDF></x:xmpmeta>"
    )


LORA = [("ink", "0.8")]
GRAPH, NOVEL_TEXTS = json.dumps(COMFY), {"Software": "NovelAI", "Description": "a fox", "Comment": json.dumps(NOVEL)}
FILES: list[Any] = [
    pytest.param("A1111", png(parameters=A1111), [], id="a1111-png"),
    pytest.param("A1111", in_exif("JPEG", comment=unicode(A1111)), [], id="a1111-jpeg"),
    pytest.param("A1111", in_exif("AVIF", comment=unicode(A1111)), [], id="a1111-avif"),
    pytest.param("stable-diffusion.cpp", png(parameters=SDCPP), [], id="sdcpp-png"),
    pytest.param("stable-diffusion.cpp", in_exif("WEBP", xmp=xmp_of_sdcpp(SDCPP)), [], id="sdcpp-webp"),
    pytest.param("ComfyUI", png(prompt=GRAPH, workflow="{}"), LORA, id="comfyui-png"),
    pytest.param("ComfyUI", in_exif("WEBP", {0x010F: "workflow:{}", 0x0110: "prompt:" + GRAPH}), LORA, id="comfyui-webp"),
    pytest.param("InvokeAI", png(invokeai_metadata=json.dumps(INVOKE)), LORA, id="invokeai-png"),
    pytest.param("NovelAI", png(**NOVEL_TEXTS), [], id="novelai-png"),
    pytest.param("NovelAI", in_exif("WEBP", comment=unicode(json.dumps(NOVEL_TEXTS))), [], id="novelai-webp"),
    pytest.param("NovelAI", with_hidden(gzip.compress(json.dumps(NOVEL_TEXTS).encode())), [], id="novelai-hidden"),
    pytest.param("A1111", with_hidden(A1111.encode(), b"stealth_pnginfo"), [], id="a1111-hidden"),
    pytest.param("SwarmUI", png(parameters=json.dumps(SWARM)), LORA, id="swarmui-png"),
    pytest.param("SwarmUI", in_exif("JPEG", comment=unicode(json.dumps(SWARM))), LORA, id="swarmui-jpeg"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "data", "loras"), FILES)
def test_the_same_settings_are_read_whoever_wrote_them(program: str, data: bytes, loras: list[tuple[str, str]]) -> None:
    found = read_written(data)
    form = form_texts_of_infotext(found.parts)
    assert (found.program, found.size) == (program, (64, 48))
    numbers = {name: float(form.texts.pop(name)) for name in ("cfg_scale", "steps", "seed", "width", "height")}
    assert numbers == {"cfg_scale": 6.5, "steps": 20, "seed": 42, "width": 64, "height": 48}
    assert form.loras == loras
    model = form.texts.pop("model", "fox").removesuffix(".safetensors")
    form.texts.pop("guidance", "")
    form.texts.pop("eta", "")
    assert (model, form.texts) == (
        "fox",
        {"prompt": "a fox, 狐", "negative_prompt": "dog", "sampler": "dpm++2m", "scheduler": "karras"},
    )
    # The text that stands for it in other programs says the same.
    assert found.infotext.startswith("a fox, 狐\nNegative prompt: dog\nSteps: 20, ")


def test_comfyuis_newer_samplers_are_followed_to_their_parts() -> None:
    form = form_texts_of_infotext(read_written(png(prompt=json.dumps(FLUX))).parts)
    assert form.texts == {
        "prompt": "a fox, 狐", "steps": "20", "guidance": "3.5", "seed": "42", "model": "fox", "width": "64", "height": "48",
        "sampler": "dpm++2m", "scheduler": "karras",
    }  # fmt: skip


def test_novelais_characters_are_part_of_the_prompt() -> None:
    caption = {
        "caption": {"base_caption": "two", "char_captions": [{"char_caption": "a fox"}, {"char_caption": "an owl"}]}
    }
    parts = read_written(png(Comment=json.dumps({**NOVEL, "v4_prompt": caption}))).parts
    assert parts["prompt"] == "two, a fox, an owl"


def test_invokeais_old_brackets_are_the_negative_prompt() -> None:
    image = {"prompt": [{"prompt": "a fox [dog]", "weight": 1}], "steps": 20, "seed": 42, "sampler": "k_euler_a"}
    parts = read_written(png(sd__metadata=json.dumps({"model_weights": "sd-1.4", "image": image}))).parts
    assert (parts["prompt"], parts["negative_prompt"], parts["Model"]) == ("a fox", "dog", "sd-1.4")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        png()[:40],
        png(),
        png(prompt="{" * 100_000),
        png(prompt='{"a":' * 5000 + "1" + "}" * 5000),
        png(prompt='{"1": {"class_type": "KSampler", "inputs": {"steps": ["1", 0], "positive": ["1", 0], "model": ["1", 0]}}}'),
        with_hidden(b"no gzip"),
        png("RGBA"),
        b"\xff\xd8\xff\xe1\x00\x08Exif\0\0",
    ],
)  # fmt: skip
def test_what_tells_nothing_tells_nothing(data: bytes) -> None:
    assert read_written(data).parts == {}


def test_a_hidden_text_that_claims_to_be_longer_than_its_picture_is_none() -> None:
    data = with_hidden(b"x" * 20)
    with Image.open(io.BytesIO(data)) as picture:
        small = picture.crop((0, 0, 4, 48))
    stream = io.BytesIO()
    small.save(stream, "PNG")
    assert read_written(stream.getvalue()) == Written(size=(4, 48))


ODD: Any = [
    None, True, 1, -1.5, 10**30, "", "x", [], {}, [1], [None], ["1"], ["1", 0], [["1", 0]], [{}], {"caption": 1},
    {"caption": {"char_captions": {}}}, {"prompt": 1}, {"prompt": [{}]}, {"name": []}, [{"model": {"name": {}}}], "a,b", "1e999",
]  # fmt: skip
JSON = st.sampled_from(ODD)
KEYS = st.sampled_from(
    sorted(
        {
            *INVOKE,
            *NOVEL,
            "prompt",
            "negativeprompt",
            "loraweights",
            "cfgscale",
            "sui_image_params",
            "caption",
            "image",
            "v4_prompt",
        }
    )
)


@settings(deadline=None)
@given(
    name=st.sampled_from(["prompt", "parameters", "Comment", "invokeai_metadata", "sd__metadata"]),
    values=st.dictionaries(KEYS, JSON, max_size=6),
    inputs=st.dictionaries(
        st.sampled_from(["steps", "positive", "model", "latent_image", "seed", "cfg", "text"]),
        JSON,
    ),
)
def test_odd_values_are_passed_over(name: str, values: dict[str, Any], inputs: dict[str, Any]) -> None:
    node = {"1": {"class_type": "KSampler", "inputs": inputs}}
    form_texts_of_infotext(read_written(png(**{name: json.dumps(values | node)})).parts)
