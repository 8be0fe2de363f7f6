"""Several pictures at once on a running server: ``python examples/async_client.py``."""

import asyncio
import sys
from pathlib import Path

from sdrest.client import AsyncClient


async def main(folder: str = ".", url: str = "http://127.0.0.1:8080") -> None:
    prompts = ["a red apple", "a yellow banana", "a green pear"]
    async with AsyncClient(url) as client:
        pictures = await asyncio.gather(*(client.generate(prompt=prompt, seed=1) for prompt in prompts))
    for prompt, (picture,) in zip(prompts, pictures, strict=True):
        file = Path(folder) / f"{prompt.replace(' ', '-')}.png"
        file.write_bytes(picture)
        print(file)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
