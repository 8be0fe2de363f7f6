"""Draw captioned scenes and encode them, without end: ``run/pool/SIZE-NUMBER.npz`` with latents and captions.

The training reads the files as they come. Held-out combinations are left out.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tae
import torch
from data import KINDS, load_icons, objects, random_kind, random_scene, scene_picture

CYCLE = (128,) * 5 + (192,) + (128,) * 5 + (256,)
SCENES = {128: 512, 192: 256, 256: 96}
"""Side in pixels → scenes of a file."""
CAPTIONS = 3
"""Captions of a scene."""


def fill(run: Path, until: float, files: int, kinds: Sequence[str]) -> None:
    """Write files of ``kinds`` of scenes until the Unix time ``until`` or until there are ``files`` of them."""
    torch.set_num_threads(1)
    icons = load_icons(run)
    names = list(objects())
    encoder, _ = tae.load(run / "tae.pt")
    encoder.to(memory_format=torch.channels_last)
    folder = run / "pool"
    folder.mkdir(exist_ok=True)
    number = len(list(folder.glob("*.npz")))
    while time.time() < until and number < files:
        rng = random.Random(1000 + number)
        size = CYCLE[number % len(CYCLE)]
        scenes = []
        while len(scenes) < SCENES[size]:
            scene = random_scene(rng, names, random_kind(rng, kinds))
            if not scene.held_out():
                scenes.append(scene)
        parts = []
        for start in range(0, len(scenes), 32):
            group = scenes[start : start + 32]
            pictures = np.stack([scene_picture(scene, icons, size, rng.randrange(1 << 30)) for scene in group])
            x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                parts.append(encoder(x.to(memory_format=torch.channels_last)).float().numpy().astype(np.float16))
        captions = [[scene.caption(rng) for _ in range(CAPTIONS)] for scene in scenes]
        temporary = folder / "writing.tmp"
        with temporary.open("wb") as file:
            np.savez(file, latents=np.concatenate(parts), captions=np.array(captions))
        temporary.replace(folder / f"{size}-{number:05}.npz")
        number += 1
        if number % 10 == 0:
            print(f"{number} files {time.strftime('%H:%M:%S')}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    arguments = parser.parse_args()
    fill(arguments.run, time.time() + arguments.minutes * 60, arguments.files, arguments.kinds)
