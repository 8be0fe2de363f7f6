"""Groups of jobs: one request for many pictures that differ along a few axes, or as the rows of a list do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What differs along one direction of a group, and how its values are shown."""

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One request for many jobs. A job of it has the group's id and its own place, counted from 0 along the first axis first."""

    id: str
    #: Who asked.
    principal: str
    name: str
    created_at: datetime
    #: One to three; a list has one, whose values are its rows.
    axes: tuple[Axis, ...]
    #: Whether it is a list: its only axis is no direction, so it is laid out in as many rows as look well.
    is_list: bool = False
    #: Unique among the groups of its principal, where it has one.
    idempotency_key: str = ""

    @property
    def places(self) -> int:
        """How many jobs there are in it, those that were tried again counted once."""
        return math.prod(len(axis.values) for axis in self.axes)

    def labels(self, place: int) -> tuple[str, ...]:
        """The value at a place, along each axis."""
        return tuple(axis.values[index] for axis, index in zip(self.axes, indices(self.axes, place), strict=True))


def indices(axes: Sequence[Axis], place: int) -> tuple[int, ...]:
    """Which value of each axis is at a place."""
    found = []
    for axis in axes:
        place, index = divmod(place, len(axis.values))
        found.append(index)
    return tuple(found)
