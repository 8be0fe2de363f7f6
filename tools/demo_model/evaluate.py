"""Measure how often a picture shows what its prompt names, over every trained object.

Each picture is compared with the reference renderings of ALL trained objects on the prompt's ground (mean squared
difference at 32x32): top-1 is right when the named object is nearest. The ground is read off the corners. ``--library N``
has the native library draw N of the pictures, which are what counts; the port draws all of them, in a tenth of the time,
with the weights as the file stores them. ``--untrained`` measures a model of random weights the same way.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tae
import torch
from check_port import philox_normal
from data import COLORS, HERE, SHAPES, Scene, load_icons, objects, scene_picture
from export import as_stored, write
from model import Model, generate
from PIL import Image
from torch import nn
from train import indices, load

SIDE = 32


def features(picture: np.ndarray) -> np.ndarray:
    """``uint8`` [H, W, 3] → RGB means of a 32×32 grid, float [3072]."""
    small = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32).ravel() / 255


def corner_color(picture: np.ndarray) -> str:
    """The named colour nearest to the median of the four corners."""
    side = max(4, picture.shape[0] // 16)
    ends = (slice(0, side), slice(-side, None))
    found = np.median(np.concatenate([picture[y, x].reshape(-1, 3) for y in ends for x in ends]), 0)
    return min(COLORS, key=lambda name: float(np.square(found - COLORS[name]).sum()))


class Reference:
    """Features of every trained object's reference picture on a ground, kept once computed."""

    def __init__(self, icons: dict[str, np.ndarray]) -> None:
        self.icons = icons
        self.names = list(objects(trained=True))
        self._kept: dict[str, np.ndarray] = {}

    def ranking(self, picture: np.ndarray, background: str) -> list[str]:
        """Object names from nearest to farthest."""
        if background not in self._kept:
            scenes = [scene_picture(Scene(name, background), self.icons) for name in self.names]
            self._kept[background] = np.stack([features(scene) for scene in scenes])
        distance = np.square(self._kept[background] - features(picture)).sum(1)
        return [self.names[i] for i in np.argsort(distance)]

    def is_shape(self, picture: np.ndarray, scene: Scene) -> bool:
        """Whether the shape and colour of ``scene`` are the nearest of all on its ground."""
        rivals = [Scene(s, scene.background, "", c) for s in SHAPES for c in COLORS if c != scene.background]
        drawn = features(picture)
        errors = [float(np.square(features(scene_picture(rival, self.icons)) - drawn).sum()) for rival in rivals]
        return rivals[int(np.argmin(errors))] == scene


def draw(model: Model, decoder: nn.Module, prompts: list[str], steps: int, cfg_scale: float) -> list[np.ndarray]:
    """Draw with the port; picture i has the library's noise of seed i."""
    found: list[np.ndarray] = []
    for start in range(0, len(prompts), 32):
        part = prompts[start : start + 32]
        noise = np.stack([philox_normal(start + i, 16 * 16 * 16).reshape(16, 16, 16) for i in range(len(part))])
        with torch.no_grad():
            latents = generate(model, indices(model, part), torch.from_numpy(noise), steps, cfg_scale)
            pictures = decoder(latents).clamp(0, 1).permute(0, 2, 3, 1).mul(255).round().byte().numpy()
        found += list(pictures)
    return found


def untrained(model: Model) -> Model:
    """The same architecture with random weights."""
    torch.manual_seed(0)
    fresh = Model(model.shape, model.token_ids.tolist())
    for parameter in fresh.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.02)
    return fresh.eval()


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


def judged(reference: Reference, pictures: list[np.ndarray], scenes: list[Scene], prefix: str = "") -> dict[str, float]:
    """Shares of pictures whose object is the nearest, or among the nearest five, and whose ground is right."""
    drawn = list(zip(pictures, scenes, strict=False))
    ranks = [reference.ranking(p, s.background).index(s.subject) for p, s in drawn]
    print(f"{prefix}not nearest:", "; ".join(s.subject for (_, s), rank in zip(drawn, ranks, strict=True) if rank))
    return {
        f"{prefix}prompts": len(drawn),
        f"{prefix}top1": round(float(np.mean([rank == 0 for rank in ranks])), 4),
        f"{prefix}top5": round(float(np.mean([rank < 5 for rank in ranks])), 4),
        f"{prefix}background": round(float(np.mean([corner_color(p) == s.background for p, s in drawn])), 4),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="the shipped file, for --library")
    parser.add_argument("--library", type=int, default=0, help="how many to draw with the library")
    parser.add_argument("--processes", type=int, default=2, help="of the library, with one thread each")
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--cfg-scale", type=float, default=2.0)
    parser.add_argument("--sheet", type=Path, help="save the first 140 pictures of the library, else of the port")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    _, decoder = tae.load(arguments.run / "tae.pt")
    model = load(arguments.run / "model.pt")
    model = untrained(model) if arguments.untrained else model
    reference = Reference(load_icons(arguments.run))
    rng = random.Random(11)
    scenes = [Scene(name, rng.choice(list(COLORS))) for name in reference.names]
    rng.shuffle(scenes)
    combinations = [Scene(s, g, "", c) for s in SHAPES for c in COLORS for g in COLORS if c != g]
    tried = rng.sample(combinations, 40)
    prompts = [scene.caption() for scene in (*scenes, *tried)]
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), arguments.model
        if arguments.untrained:
            file = folder / "untrained.gguf"
            write(model, arguments.run, file)
        wanted = prompts[: min(arguments.library, len(scenes))]
        settings = arguments.steps, arguments.cfg_scale
        drawing = LibraryDrawing(file, wanted, *settings, folder, arguments.processes) if wanted else None
        pictures = draw(as_stored(model), decoder, prompts, *settings)
        shapes = [reference.is_shape(p, s) for p, s in zip(pictures[len(scenes) :], tried, strict=True)]
        figures = judged(reference, pictures[: len(scenes)], scenes)
        figures |= {"chance": round(1 / len(reference.names), 4), "shapes": len(tried)}
        figures |= {"shape_and_color": round(float(np.mean(shapes)), 4)}
        print(json.dumps(figures, indent=1), flush=True)
        if drawing is not None:
            theirs, seconds = drawing.finish()
            figures |= judged(reference, theirs, scenes, "library_")
            apart = [np.abs(one.astype(float) - other).mean() for one, other in zip(theirs, pictures, strict=False)]
            figures |= {
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
