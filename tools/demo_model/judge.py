"""What a picture shows. Things, their number and how they stand are told by ``classifier.py``, which never saw a picture of the
model; colour, ground, place and style by what renderings look like: of several scenes, the nearest one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from backdrops import BACKDROPS, NO_TIME, TIMES
from classifier import Classifier, names, parts
from data import COLORS, COUNTS, Scene, objects, scene_picture
from PIL import Image
from styles import STYLES

SIDE = 32
_RIVALS = ("left", "right", "above", "below", "front", "behind")
_SAME = {"on": ("on", "above"), "beside": ("left", "right")}
"""Relations that more than one layout shows."""


def features(picture: np.ndarray, side: int = SIDE) -> np.ndarray:
    """``uint8`` [H, W, 3] → RGB means of a grid of ``side`` × ``side``, float."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX), np.float32).ravel() / 255


def corner_color(picture: np.ndarray) -> str:
    """The named colour nearest to the median of the four corners."""
    side = max(4, picture.shape[0] // 16)
    ends = (slice(0, side), slice(-side, None))
    found = np.median(np.concatenate([picture[y, x].reshape(-1, 3) for y in ends for x in ends]), 0)
    return min(COLORS, key=lambda name: float(np.square(found - COLORS[name]).sum()))


class Judge:
    """Answers about pictures; ``icons`` are those of every object."""

    def __init__(self, icons: dict[str, np.ndarray], classifier: Classifier) -> None:
        self._icons = {name: np.asarray(Image.fromarray(icon).resize((64, 64))) for name, icon in icons.items()}
        self._classifier = classifier
        self._classes = {name: number for number, name in enumerate(names())}
        self._things = set(objects())

    def nearest(self, picture: np.ndarray, rivals: list[Scene], side: int = SIDE) -> Scene:
        """The scene whose rendering is nearest, looked at with so many points a side."""
        drawn = features(picture, side)
        errors = [
            np.square(features(scene_picture(rival, self._icons, side * 2), side) - drawn).sum() for rival in rivals
        ]
        return rivals[int(np.argmin(errors))]

    @torch.no_grad()
    def _seen(self, picture: np.ndarray, scene: Scene) -> list[tuple[str, torch.Tensor]]:
        """The name of each thing of the scene, and the logarithms of the classes' probabilities where it belongs."""
        found = parts(picture, scene)
        x = torch.from_numpy(np.stack([part for _, part in found])).permute(0, 3, 1, 2).float() / 255
        return [(thing.name, row) for (thing, _), row in zip(found, self._classifier(x), strict=True)]

    def _are_there(self, picture: np.ndarray, scene: Scene) -> bool:
        return all(int(row.argmax()) == self._classes[name] for name, row in self._seen(picture, scene))

    def _has_relation(self, picture: np.ndarray, scene: Scene) -> bool:
        """Whether the two things are most probable where this relation puts them."""
        right = _SAME.get(scene.relation, (scene.relation,))
        tried = list(dict.fromkeys((*right, *_RIVALS)))

        def likelihood(relation: str) -> float:
            seen = self._seen(picture, replace(scene, relation=relation))
            return sum(float(row[self._classes[name]]) for name, row in seen)

        return max(tried, key=likelihood) in right

    def _has_color(self, picture: np.ndarray, scene: Scene) -> bool:
        rivals = [replace(scene, thing=replace(scene.thing, color=c)) for c in COLORS if c != scene.ground]
        return self.nearest(picture, rivals) == scene

    def _has_count(self, picture: np.ndarray, scene: Scene) -> bool:
        """Whether the things are most probable where so many of them belong."""

        def likelihood(count: int) -> float:
            seen = self._seen(picture, replace(scene, count=count))
            return sum(float(row[self._classes[name]]) for name, row in seen) / count

        return max((1, *COUNTS), key=likelihood) == scene.count

    def check(self, picture: np.ndarray, scene: Scene) -> dict[str, bool]:
        """What of ``scene`` the picture shows, by the name of the question; only the questions that it poses."""
        found: dict[str, bool] = {}
        if scene.second is not None:
            found["both things"] = self._are_there(picture, scene)
            found["relation"] = self._has_relation(picture, scene)
        elif scene.thing.name in self._things:
            found["thing"] = self._are_there(picture, scene)
        else:
            found["shape"] = self._are_there(picture, scene)
        if scene.thing.color and scene.second is None and not scene.style:
            found["color"] = self._has_color(picture, scene)
        if scene.count > 1:
            found["count"] = self._has_count(picture, scene)
        if scene.place:
            times = [""] if scene.place in NO_TIME else ["", *TIMES]
            rivals = [replace(scene, place=p, time="" if p in NO_TIME else t) for p in BACKDROPS for t in times]
            found["place"] = self.nearest(picture, rivals) == scene
        elif not scene.style:
            found["ground"] = corner_color(picture) == scene.ground
        if scene.style:
            found["style"] = self.nearest(picture, [replace(scene, style=s) for s in ("", *STYLES)], 64) == scene
        return found
