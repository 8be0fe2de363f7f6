"""Compare the port with the library: the same prompt, noise and steps must give the same picture.

The library's noise is the Philox generator of its default ``rng_type``; the port draws the same numbers here.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import tae
import torch
from export import write
from library import Draw, Library
from model import Model, generate
from train import indices, load


def philox_normal(seed: int, count: int) -> np.ndarray:
    """``count`` normal numbers of the library's generator (Philox 4x32-10 and Box–Muller), first draw of ``seed``."""
    counter = np.zeros((4, count), np.uint64)
    counter[2] = np.arange(count)
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = counter[0] * np.uint64(0xD2511F53), counter[2] * np.uint64(0xCD9E8D57)
        counter = np.stack(
            ((b >> np.uint64(32)) ^ counter[1] ^ key[0], b & low, (a >> np.uint64(32)) ^ counter[3] ^ key[1], a & low)
        )
        key = [(key[0] + np.uint64(0x9E3779B9)) & low, (key[1] + np.uint64(0xBB67AE85)) & low]
    u = counter[0] / 2**32 + 2**-33
    v = counter[1] * (2 * np.pi / 2**32) + np.pi / 2**32
    return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)


def compare(
    model: Model, run: Path, prompts: list[str], size: int = 128, steps: int = 8, cfg_scale: float = 3.0
) -> float:
    """Largest mean difference over the prompts, in grey levels of 255."""
    _, decoder = tae.load(run / "tae.pt")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exact.gguf"
        write(model, run, path, exact=True)
        with Library(path, threads=1) as library:
            for seed, prompt in enumerate(prompts, 7):
                theirs = library.draw(
                    Draw(prompt, width=size, height=size, steps=steps, cfg_scale=cfg_scale, seed=seed)
                )
                side = size // 8
                noise = torch.from_numpy(philox_normal(seed, 16 * side * side)).view(1, 16, side, side)
                with torch.no_grad():
                    latent = generate(
                        model, indices(model.token_ids.tolist(), [prompt]), noise, steps, cfg_scale, exact=True
                    )
                    ours = (decoder(latent).clamp(0, 1)[0].permute(1, 2, 0) * 255).round().numpy()
                difference = np.abs(ours - theirs)
                worst = max(worst, float(difference.mean()))
                print(f"{prompt!r}: mean {difference.mean():.3f}, largest {difference.max():.1f} of 255")
    return worst


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    arguments = parser.parse_args()
    chosen = [
        "a cat on a blue background",
        "rocket",
        "a small red apple on a black background",
        "nothing known here: xylophone",
    ]
    worst = compare(load(arguments.run / "model.pt"), arguments.run, chosen)
    print(f"worst mean difference {worst:.3f} of 255")
    raise SystemExit(worst > 1.0)
