"""Measure how often a picture shows what its prompt names, over random prompts of every kind, see ``judge.py``.

Prompts whose combination was held out of the training are counted apart. The port draws, with the weights as the file
stores them; ``--library N`` has the native library draw the first N of the same prompts. ``--edition FOLDER`` (with
``start.pt`` and ``tae.pt`` of ``restore.py``) measures another edition on the same prompts.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import classifier
import numpy as np
import tae
import torch
from check_port import philox_normal
from data import HERE, KINDS, Scene, load_icons, objects, random_kind, random_scene
from export import as_stored
from judge import Judge
from model import Model, generate
from PIL import Image
from torch import nn
from train import indices, load

HELD_OUT = 0.3
"""Share of the prompts whose combination the training never saw."""


def draw(model: Model, decoder: nn.Module, prompts: list[str], steps: int, cfg_scale: float) -> list[np.ndarray]:
    """Draw with the port; picture i has the library's noise of seed i."""
    found: list[np.ndarray] = []
    for start in range(0, len(prompts), 32):
        part = prompts[start : start + 32]
        noise = np.stack([philox_normal(start + i, 16 * 16 * 16).reshape(16, 16, 16) for i in range(len(part))])
        with torch.no_grad():
            latents = generate(
                model, indices(model.token_ids.tolist(), part), torch.from_numpy(noise), steps, cfg_scale
            )
            pictures = decoder(latents).clamp(0, 1).permute(0, 2, 3, 1).mul(255).round().byte().numpy()
        found += list(pictures)
    return found


class LibraryDrawing:
    """Pictures being drawn by the native library in processes of one thread each; seed i for picture i."""

    def __init__(
        self, file: Path, prompts: list[str], steps: int, cfg_scale: float, folder: Path, processes: int
    ) -> None:
        self._count = len(prompts)
        self._folders = [folder / str(number) for number in range(processes)]
        self._running: list[subprocess.Popen[bytes]] = []
        for number, part_folder in enumerate(self._folders):
            part_folder.mkdir(parents=True)
            part = [
                {"prompt": prompt, "seed": seed, "steps": steps, "cfg_scale": cfg_scale}
                for seed, prompt in enumerate(prompts)
                if seed % processes == number
            ]
            requests = part_folder / "requests.json"
            requests.write_text(json.dumps(part))
            command = [
                sys.executable,
                "library.py",
                str(file.resolve()),
                str(requests),
                str(part_folder),
                "--threads",
                "1",
            ]
            self._running.append(subprocess.Popen(command, cwd=HERE, stdout=subprocess.DEVNULL))

    def finish(self) -> tuple[list[np.ndarray], float]:
        """All pictures, and the processor seconds that one took."""
        codes = [process.wait() for process in self._running]
        if any(codes):
            raise RuntimeError("the library did not draw everything")
        used = sum(sum(json.loads((folder / "seconds.json").read_text())["processor"]) for folder in self._folders)
        processes = len(self._folders)
        paths = [self._folders[i % processes] / f"{i // processes:03}.png" for i in range(self._count)]
        return [np.asarray(Image.open(path).convert("RGB")) for path in paths], used / self._count


def scenes(count: int) -> list[Scene]:
    """Random scenes of all kinds in the training's shares, ``HELD_OUT`` of them unseen combinations."""
    rng = random.Random(11)
    names = list(objects())
    found: list[Scene] = []
    while len(found) < count:
        kind = random_kind(rng)
        wanted = kind != "plain" and rng.random() < HELD_OUT / (1 - KINDS["plain"])
        scene = random_scene(rng, names, kind)
        while scene.held_out() != wanted:
            scene = random_scene(rng, names, kind)
        found.append(scene)
    return found


def judged(judge: Judge, pictures: list[np.ndarray], tried: list[Scene]) -> dict[str, dict[str, float | int]]:
    """Question → share of right answers and their number: over all pictures, and over held-out combinations."""
    answers: dict[str, list[bool]] = defaultdict(list)
    for picture, scene in zip(pictures, tried, strict=False):
        for question, right in judge.check(picture, scene).items():
            answers[question].append(right)
            if scene.held_out():
                answers[f"{question}, held out"].append(right)
    return {q: {"right": round(float(np.mean(a)), 3), "of": len(a)} for q, a in sorted(answers.items())}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--edition", type=Path, help="folder of another edition's start.pt and tae.pt")
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--model", type=Path, help="the shipped file, for --library")
    parser.add_argument("--library", type=int, default=0, help="how many to draw with the library")
    parser.add_argument("--processes", type=int, default=1, help="of the library, with one thread each")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--cfg-scale", type=float, default=2.0)
    parser.add_argument("--sheet", type=Path, help="save the first 140 pictures of the library, else of the port")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    other = arguments.edition
    _, decoder = tae.load((other or arguments.run) / "tae.pt")
    model = load(other / "start.pt" if other else arguments.run / "model.pt")
    judge = Judge(load_icons(arguments.run), classifier.load(arguments.run))
    tried = scenes(arguments.prompts)
    rng = random.Random(12)
    prompts = [scene.caption(rng) for scene in tried]
    settings = arguments.steps, arguments.cfg_scale
    pictures = draw(model if other else as_stored(model), decoder, prompts, *settings)
    figures: dict[str, object] = {"port": judged(judge, pictures, tried)}
    if arguments.library:
        with tempfile.TemporaryDirectory() as name:
            wanted = prompts[: arguments.library]
            drawing = LibraryDrawing(arguments.model, wanted, *settings, Path(name), arguments.processes)
            theirs, seconds = drawing.finish()
        apart = [np.abs(one.astype(float) - other).mean() for one, other in zip(theirs, pictures, strict=False)]
        figures |= {
            "library": judged(judge, theirs, tried),
            "library_difference_of_255": round(float(np.mean(apart)), 3),
            "library_processor_seconds": round(seconds, 2),
        }
        pictures = theirs
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    if arguments.sheet:
        tiles = [np.asarray(Image.fromarray(p).resize((64, 64), Image.Resampling.LANCZOS)) for p in pictures[:140]]
        rows = [np.concatenate(tiles[i : i + 20], 1) for i in range(0, len(tiles) - 19, 20)]
        Image.fromarray(np.concatenate(rows)).save(arguments.sheet, optimize=True)


if __name__ == "__main__":
    main()
