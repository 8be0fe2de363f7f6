"""The `openai` package against a running server, as its users call it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from tests.acceptance.clients.openai_sdk import ON_OVIS, PICTURE, as_file, decoded, sdk  # noqa: F401 - sdk is a fixture
from tests.acceptance.conftest import SMALL, Server, StartServer

EXTRA = {"steps": 2, "seed": 7}


def test_models_are_listed_and_found_by_name(client: Any) -> None:
    names = [model.id for model in client.models.list()]
    assert "embedded" in names
    assert client.models.retrieve("embedded").object == "model"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("embeddet")
    assert caught.value.code == "model_not_found"
    assert "embedded" in str(caught.value)


def test_the_same_seed_gives_the_same_bytes_as_the_native_route(client: Any, server: Server) -> None:
    reply = client.images.generate(prompt="a red apple", model="dall-e-3", size="64x64", extra_body=EXTRA)
    assert base64.b64decode(reply.data[0].b64_json) == server.native_picture()


def test_without_a_response_format_there_is_an_url_as_well(client: Any) -> None:
    reply = client.images.generate(prompt="a red apple", size="64x64", extra_body=EXTRA)
    assert httpx.get(reply.data[0].url).content == base64.b64decode(reply.data[0].b64_json)


@pytest.mark.parametrize(("wanted", "other"), [("url", "b64_json"), ("b64_json", "url")])
def test_a_response_format_is_obeyed(client: Any, wanted: str, other: str) -> None:
    reply = client.images.generate(prompt="p", size="64x64", response_format=wanted, extra_body=EXTRA)
    assert getattr(reply.data[0], wanted)
    assert getattr(reply.data[0], other) is None


def test_several_pictures_have_consecutive_seeds(client: Any, server: Server) -> None:
    reply = client.images.generate(prompt="a red apple", size="64x64", n=2, extra_body=EXTRA)
    assert base64.b64decode(reply.data[1].b64_json) == server.native_picture(seed=8)


def test_size_auto_is_the_models_own(client: Any) -> None:
    reply = client.images.generate(prompt="p", size="auto", extra_body={"steps": 1})
    assert reply.data is not None
    picture = decoded(reply.data[0])
    assert f"{picture.width}x{picture.height}" == reply.size != "64x64"


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_other_formats_keep_the_parameters(client: Any, output_format: Any) -> None:
    reply = client.images.generate(
        prompt="a red apple", size="64x64", output_format=output_format, output_compression=60, extra_body=EXTRA
    )
    picture = decoded(reply.data[0])
    assert picture.format == output_format.upper()
    comment = picture.getexif().get_ifd(0x8769)[0x9286]
    assert "a red apple" in (comment if isinstance(comment, str) else comment[8:].decode("utf-16-be"))


def test_every_parameter_may_go_in_the_extra_body(client: Any) -> None:
    extra = {
        **EXTRA,
        "sampler": "k_euler_a",
        "scheduler": "Karras",
        "cfg_scale": 2.5,
        "negative_prompt": "blue",
        "no": 1,
    }
    reply = client.images.generate(prompt="p", size="64x64", extra_body=extra)
    assert reply.data is not None
    text = decoded(reply.data[0]).info["parameters"]
    for part in ("Sampler: Euler a", "Schedule type: Karras", "CFG scale: 2.5", "Negative prompt: blue", "Seed: 7"):
        assert part in text


def test_extras_embedded_in_the_prompt_are_honoured(client: Any) -> None:
    extra = json.dumps({"seed": 99, "sample_params": {"sample_steps": 3, "sample_method": "heun"}})
    prompt = f"a cat <sd_cpp_extra_args>{extra}</sd_cpp_extra_args>"
    reply = client.images.generate(prompt=prompt, size="64x64")
    assert reply.data is not None
    text = decoded(reply.data[0]).info["parameters"]
    assert text.startswith("a cat\n")
    assert "Steps: 3, Sampler: Heun" in text
    assert "Seed: 99" in text


def test_a_stream_ends_with_the_picture(client: Any, server: Server) -> None:
    events = list(client.images.generate(prompt="a red apple", size="64x64", stream=True, extra_body=EXTRA))
    assert [event.type for event in events] == ["image_generation.completed"]
    assert base64.b64decode(events[0].b64_json) == server.native_picture()
    assert events[0].usage.total_tokens > 0


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"n": 11}, "n", "1 to 10"),
        ({"size": "big"}, "size", "WIDTHxHEIGHT"),
        ({"extra_body": {"steps": 0}}, "steps", "greater than or equal to 1"),
        ({"extra_body": {"sampler": "eulr"}}, "sampler", "did you mean 'euler'"),
        ({"output_format": "gif"}, "output_format", "png"),
        ({"stream": True, "partial_images": 4}, "partial_images", "0 to 3"),
        ({"n": 0}, "n", "1 to 10"),
        ({"quality": "superb"}, "quality", "'low'"),
        ({"background": "pink"}, "background", "'transparent'"),
        ({"background": "transparent", "output_format": "jpeg"}, "background", "png or webp"),
        ({"output_compression": 101}, "output_compression", "0 to 100"),
    ],
)
def test_a_wrong_value_is_named(client: Any, fields: dict[str, Any], param: str, message: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="p", **fields)
    assert caught.value.param == param
    assert message in str(caught.value)
    assert caught.value.type == "invalid_request_error"


def test_an_unknown_model_is_not_found(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="p", model="no-such-model")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("model", ["gpt-image-1", "gpt-image-1-mini", "chatgpt-image-latest"])
def test_models_that_never_send_an_url_send_none(client: Any, model: str) -> None:
    reply = client.images.generate(prompt="p", model=model, size="64x64", extra_body=EXTRA)
    assert reply.data[0].url is None
    assert reply.data[0].b64_json
    asked = client.images.generate(prompt="p", model=model, size="64x64", response_format="url", extra_body=EXTRA)
    assert asked.data[0].url
    assert asked.data[0].b64_json is None


def test_no_compression_quality_is_one(client: Any) -> None:
    def size(**options: Any) -> int:
        reply = client.images.generate(prompt="p", size="64x64", output_format="webp", extra_body=EXTRA, **options)
        return len(reply.data[0].b64_json)

    assert size(output_compression=0) < size(output_compression=100) == size()


def test_quality_sets_the_steps_unless_they_are_given(client: Any, server: Server) -> None:
    def made(**fields: Any) -> tuple[int, str]:
        reply = client.images.generate(prompt="p", size="64x64", **fields)
        job = httpx.get(f"{server.url}/api/queue/job/{reply.job_id}").json()
        return job["params"]["steps"], reply.quality

    (own, medium), (few, low), (many, high) = made(), made(quality="low"), made(quality="hd")
    assert (low, medium, high) == ("low", "medium", "high")
    assert (few, many) == (round(own / 2), round(own * 1.5))
    assert made(quality="low", extra_body={"steps": 3}) == (3, "low")


def test_a_transparent_background_is_answered_honestly(client: Any) -> None:
    reply = client.images.generate(prompt="p", size="64x64", background="transparent", extra_body=EXTRA)
    assert reply.background == "opaque"
    assert any("transparent" in warning for warning in reply.warnings)
    assert decoded(reply.data[0]).mode == "RGB"


def test_usage_adds_up(client: Any) -> None:
    edited = client.images.edit(
        image=[as_file(PICTURE), as_file(PICTURE)],
        prompt="two words",
        model="ovis",
        size="64x64",
        n=2,
        extra_body=ON_OVIS,
    )
    usage = edited.usage
    assert (usage.input_tokens_details.text_tokens, usage.input_tokens_details.image_tokens) == (2, 2)
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (4, 4, 8)


def test_a_full_queue_says_when_to_come_back(start_server: StartServer) -> None:
    server = start_server("--max-pending-jobs", "1")
    slow = {**SMALL, "steps": 1000, "width": 256, "height": 256}
    ids = [httpx.post(f"{server.url}/api/generate/text2img", json=slow).json().get("job_id") for _ in range(2)]
    _until(lambda: server.jobs()["running_count"] == 1)
    if server.jobs()["pending_count"] == 0:
        ids.append(httpx.post(f"{server.url}/api/generate/text2img", json=slow).json()["job_id"])
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.images.generate(prompt="p")
    assert int(caught.value.response.headers["Retry-After"]) > 0
    for job_id in filter(None, ids):
        httpx.post(f"{server.url}/api/queue/cancel", json={"job_id": job_id})


def test_a_client_that_goes_away_does_not_lose_its_job_and_a_retry_finds_it(start_server: StartServer) -> None:
    server = start_server()
    heard: list[dict[str, str]] = []

    def note(request: httpx.Request) -> None:
        heard.append(dict(request.headers))

    http = httpx.Client(event_hooks={"request": [note]})
    client: Any = openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=2, http_client=http)
    # A paused queue answers too late for any client; its own two retries then wait for the same job.
    httpx.post(f"{server.url}/api/queue/pause").raise_for_status()
    with pytest.raises(openai.APITimeoutError):
        client.images.generate(prompt="p", size="64x64", timeout=2.0, extra_body={"steps": 2, "seed": 5})
    httpx.post(f"{server.url}/api/queue/resume").raise_for_status()
    assert len(heard) == 3
    assert heard[1]["x-stainless-retry-count"] == "1"
    _until(lambda: server.jobs()["completed_count"] == 1)
    assert server.jobs()["total_count"] == 1
    http.close()


def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.05)


def test_a_generation_streams_previews_in_the_final_size(client: Any) -> None:
    events = list(
        client.images.generate(
            prompt="p", model="ovis", size="64x64", stream=True, partial_images=3, extra_body={**ON_OVIS, "steps": 200}
        )
    )
    partial = [event for event in events if event.type == "image_generation.partial_image"]
    assert [event.partial_image_index for event in partial] == list(range(len(partial)))
    assert 1 <= len(partial) <= 3
    assert all(decoded(event).size == (64, 64) for event in partial)
