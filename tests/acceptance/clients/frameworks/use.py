"""Frameworks around the OpenAI API, each as its users call it: ``use.py NAME`` prints as JSON what came of it.

Runs in an environment of its own, with the address of the server in SERVER and a picture in PICTURE (base64).
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
import urllib.request
from collections.abc import Coroutine
from typing import Any

SERVER = os.environ["SERVER"]
BASE = f"{SERVER}/v1"
os.environ |= {"OPENAI_API_KEY": "unused", "OPENAI_BASE_URL": BASE, "OPENAI_TIMEOUT": "60"}
PICTURE = base64.b64decode(os.environ["PICTURE"])


def extras(**values: Any) -> str:
    """Parameters in a prompt, for clients that pass no others on."""
    return f"<sd_cpp_extra_args>{json.dumps(values)}</sd_cpp_extra_args>"


QUICK = extras(seed=7, width=64, height=64, sample_params={"sample_steps": 2})
SLOW = extras(width=256, height=256, sample_params={"sample_steps": 1000})
EDIT = extras(model="ovis", seed=7, strength=0.5, sample_params={"sample_steps": 2, "guidance": {"txt_cfg": 1}})


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as reply:
        return base64.b64encode(reply.read()).decode()


def is_running() -> bool:
    with urllib.request.urlopen(f"{SERVER}/api/queue/status", timeout=60) as reply:
        return bool(json.load(reply)["running_count"])


async def aborted(begin: Coroutine[Any, Any, Any]) -> str:
    """Cancel what has begun as soon as its job runs; the name of what this ends in."""
    task = asyncio.ensure_future(begin)
    while not await asyncio.to_thread(is_running):
        await asyncio.sleep(0.05)
    task.cancel()
    ending = (await asyncio.gather(task, return_exceptions=True))[0]
    return type(ending).__name__


async def refused(begin: Coroutine[Any, Any, Any]) -> str:
    """What is raised."""
    ending = (await asyncio.gather(begin, return_exceptions=True))[0]
    return repr(ending)


async def agno() -> dict[str, Any]:
    from agno.tools.dalle import DalleTools
    from agno.tools.openai import OpenAITools

    by_url = DalleTools(size="256x256").create_image(f"a red apple {QUICK}")
    tools = OpenAITools(image_model="gpt-image-1", image_size="auto")
    made = tools.generate_image(f"a red apple {QUICK}")
    wrong = OpenAITools(image_model="no-such-model", image_size="auto").generate_image("p")
    return {
        "url": fetched(by_url.images[0].url),
        "generated": base64.b64encode(made.images[0].content).decode(),
        "error": wrong.content,
    }


async def haystack() -> dict[str, Any]:
    from haystack.components.generators import OpenAIImageGenerator

    generator = OpenAIImageGenerator(size="auto", max_retries=0)
    made = generator.run(f"a red apple {QUICK}")
    error = await refused(generator.run_async("p", size="big"))
    return {"generated": made["images"][0], "error": error, "aborted": await aborted(generator.run_async(f"p {SLOW}"))}


async def semantic_kernel() -> dict[str, Any]:
    from openai import AsyncOpenAI
    from semantic_kernel.connectors.ai.open_ai import OpenAITextToImage

    client: Any = AsyncOpenAI(max_retries=0)
    service = OpenAITextToImage("gpt-image-1", async_client=client)
    made = await service.generate_images(f"a red apple {QUICK}")
    edited = await service.edit_image(f"a dog {EDIT}", image_files=[io.BytesIO(PICTURE)])
    error = await refused(OpenAITextToImage("no-such-model", async_client=client).generate_images("p"))
    given_up = await aborted(service.generate_images(f"p {SLOW}"))
    return {"generated": made[0], "edited": edited[0], "error": error, "aborted": given_up}


async def griptape() -> dict[str, Any]:
    from griptape.drivers.image_generation.openai import OpenAiImageGenerationDriver

    made = OpenAiImageGenerationDriver(model="gpt-image-1", base_url=BASE).run_text_to_image([f"a red apple {QUICK}"])
    wrong = OpenAiImageGenerationDriver(model="no-such-model", base_url=BASE)
    return {
        "generated": base64.b64encode(made.value).decode(),
        "error": await refused(asyncio.to_thread(wrong.run_text_to_image, ["p"])),
    }


USES = {use.__name__: use for use in (agno, haystack, semantic_kernel, griptape)}

if __name__ == "__main__":
    json.dump(asyncio.run(USES[sys.argv[1]]()), sys.stdout)
