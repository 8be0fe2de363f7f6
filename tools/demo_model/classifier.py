"""A small classifier that tells which thing a part of a picture shows; the judge of ``evaluate.py`` asks it.

It has seen renderings only, never a picture of the diffusion model nor its latents, and its own share of right answers is
measured on renderings that it was not trained with.
"""

from __future__ import annotations

import argparse
import random
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from data import SHAPES, Scene, Thing, layout, load_icons, objects, random_scene, scene_picture
from PIL import Image
from torch import nn

SIDE = 48
"""Pixels of a side of what the classifier is shown."""
MARGIN = 1.1
"""Side of what is cut out, in sides of the thing."""


def names() -> list[str]:
    """The classes: every thing, and the shapes."""
    return [*objects(), *SHAPES]


def parts(picture: np.ndarray, scene: Scene, rng: random.Random | None = None) -> list[tuple[Thing, np.ndarray]]:
    """Each thing of a scene and the part of the picture where it belongs, ``uint8`` [48, 48, 3]; ``rng`` moves the cut a little."""
    image, size = Image.fromarray(picture), len(picture)
    found = []
    for thing, middle_x, middle_y, side in layout(scene):
        dx, dy, factor = (0.0, 0.0, 1.0)
        if rng is not None:
            dx, dy, factor = rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06), rng.uniform(0.9, 1.12)
        x, y, half = middle_x + side * dx, middle_y + side * dy, side * factor * MARGIN / 2
        left, top, right, bottom = (round(v * size) for v in (x - half, y - half, x + half, y + half))
        part = image.crop((left, top, right, bottom)).resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
        found.append((thing, np.asarray(part)))
    return found


class Classifier(nn.Module):
    """Parts [N, 3, 48, 48] in 0–1 → the logarithm of each class's probability [N, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 192)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(192 * 9, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return F.log_softmax(self.head(self.body(x * 2 - 1)).float(), 1)


def _blurred(part: np.ndarray, side: int) -> np.ndarray:
    """What is left of a part that was ``side`` pixels large for a moment."""
    return np.asarray(Image.fromarray(part).resize((side, side)).resize((SIDE, SIDE)))


def _batch(rng: random.Random, icons: dict[str, np.ndarray], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` parts of renderings of random scenes, a little blurred or noisy, and their classes."""
    classes = {name: i for i, name in enumerate(names())}
    every = list(objects())
    shown: list[np.ndarray] = []
    which: list[int] = []
    while len(shown) < count:
        scene = random_scene(rng, every)
        for thing, part in parts(scene_picture(scene, icons, 96, rng.randrange(1 << 30)), scene, rng):
            shown.append(_blurred(part, rng.randrange(20, SIDE)) if rng.random() < 0.5 else part)
            which.append(classes[thing.name])
    x = torch.from_numpy(np.stack(shown[:count])).permute(0, 3, 1, 2).float() / 255
    return (x + torch.randn_like(x) * 0.03).clamp(0, 1), torch.tensor(which[:count])


def train(run: Path, minutes: float) -> None:
    """Train for so many minutes of processor time, and write ``run/classifier.pt``."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    icons = {name: np.asarray(Image.fromarray(icon).resize((128, 128))) for name, icon in load_icons(run).items()}
    model = Classifier(len(names()))
    adam = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    rng = random.Random(5)
    step = 0
    while (done := time.process_time() / 60 / minutes) < 1:
        for group in adam.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 100, (1 - done) / 0.6)
        x, wanted = _batch(rng, icons, 128)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.nll_loss(model(x), wanted, reduction="mean")
        adam.zero_grad()
        loss.backward()
        adam.step()
        step += 1
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f}, {time.process_time() / 60:.1f} processor minutes", flush=True)
    torch.save(model.state_dict(), run / "classifier.pt")
    model.eval()
    x, wanted = _batch(random.Random(6), icons, 2000)
    with torch.no_grad():
        right = (model(x).argmax(1) == wanted).float().mean().item()
    print(f"right on {len(x)} parts of renderings that it was not trained with: {right:.1%}")


def load(run: Path) -> Classifier:
    """The trained classifier."""
    model = Classifier(len(names()))
    model.load_state_dict(torch.load(run / "classifier.pt", weights_only=True))
    return model.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10, help="of processor time")
    arguments = parser.parse_args()
    train(arguments.run, arguments.minutes)
