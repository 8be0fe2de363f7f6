"""What a picture shows, told from renderings: of several scenes, the one whose rendering is nearest.

Pictures are compared by their mean squared difference at 32×32. The judge has learned nothing; it knows the layouts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from backdrops import BACKDROPS, NO_TIME, TIMES
from data import COLORS, COUNTS, Scene, Thing, objects, scene_picture
from PIL import Image
from styles import STYLES

SIDE = 32
_RIVALS = ("left", "right", "above", "below", "front", "behind")
_SAME = {"on": ("on", "above"), "beside": ("left", "right")}
"""Relations that more than one layout shows."""


def features(picture: np.ndarray) -> np.ndarray:
    """``uint8`` [H, W, 3] → RGB means of a 32×32 grid, float [3072]."""
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel() / 255


def corner_color(picture: np.ndarray) -> str:
    """The named colour nearest to the median of the four corners."""
    side = max(4, picture.shape[0] // 16)
    ends = (slice(0, side), slice(-side, None))
    found = np.median(np.concatenate([picture[y, x].reshape(-1, 3) for y in ends for x in ends]), 0)
    return min(COLORS, key=lambda name: float(np.square(found - COLORS[name]).sum()))


class Judge:
    """Answers about pictures; ``icons`` are those of every object."""

    def __init__(self, icons: dict[str, np.ndarray]) -> None:
        self._icons = {name: np.asarray(Image.fromarray(icon).resize((64, 64))) for name, icon in icons.items()}
        self._names = list(objects(trained=True))

    def nearest(self, picture: np.ndarray, rivals: list[Scene]) -> Scene:
        """The scene whose rendering is nearest."""
        drawn = features(picture)
        errors = [np.square(features(scene_picture(rival, self._icons, SIDE * 2)) - drawn).sum() for rival in rivals]
        return rivals[int(np.argmin(errors))]

    def _is_thing(self, picture: np.ndarray, scene: Scene, which: str) -> bool:
        thing: Thing = getattr(scene, which)
        rivals = [replace(scene, **{which: replace(thing, name=name)}) for name in self._names]
        return self.nearest(picture, rivals) == scene

    def _has_color(self, picture: np.ndarray, scene: Scene) -> bool:
        rivals = [replace(scene, thing=replace(scene.thing, color=c)) for c in COLORS if c != scene.ground]
        return self.nearest(picture, rivals) == scene

    def _has_relation(self, picture: np.ndarray, scene: Scene) -> bool:
        right = _SAME.get(scene.relation, (scene.relation,))
        found = self.nearest(picture, [replace(scene, relation=r) for r in dict.fromkeys((*right, *_RIVALS))])
        return found.relation in right

    def check(self, picture: np.ndarray, scene: Scene) -> dict[str, bool]:
        """What of ``scene`` the picture shows, by the name of the question; only the questions that it poses."""
        found: dict[str, bool] = {}
        if scene.second is not None:
            found["both things"] = self._is_thing(picture, scene, "thing") and self._is_thing(picture, scene, "second")
            found["relation"] = self._has_relation(picture, scene)
        elif scene.thing.name in self._names:
            found["thing"] = self._is_thing(picture, scene, "thing")
        if scene.thing.color and scene.second is None and not scene.style:
            found["color"] = self._has_color(picture, scene)
        if scene.count > 1:
            found["count"] = self.nearest(picture, [replace(scene, count=n) for n in (1, *COUNTS)]) == scene
        if scene.place:
            times = [""] if scene.place in NO_TIME else ["", *TIMES]
            rivals = [replace(scene, place=p, time="" if p in NO_TIME else t) for p in BACKDROPS for t in times]
            found["place"] = self.nearest(picture, rivals) == scene
        elif not scene.style:
            found["ground"] = corner_color(picture) == scene.ground
        if scene.style:
            found["style"] = self.nearest(picture, [replace(scene, style=s) for s in ("", *STYLES)]) == scene
        return found
