"""What jobs take of what a user or an API key may have in a day: pictures, steps × pixels, and bytes of files."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

#: What limits of ``pixel_steps`` are told in.
MEGA: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How much is asked for, or was used in a day."""

    #: Pictures, or frames of videos.
    images: int = 0
    #: Sampling steps × width × height, of all pictures and passes.
    pixel_steps: int = 0
    #: Size of the finished files.
    bytes: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(**{name: getattr(self, name) + getattr(other, name) for name in KINDS})

    def __sub__(self, other: Use) -> Use:
        return Use(**{name: getattr(self, name) - getattr(other, name) for name in KINDS})


#: The kinds of quotas: the fields of :class:`Use` and :class:`Limits`.
KINDS: Final = tuple(field.name for field in fields(Use))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be used in a day, each in the unit of :class:`Use`; 0: any amount, None: what everybody may."""

    images: int | None = None
    pixel_steps: int | None = None
    bytes: int | None = None

    def over(self, usual: Limits) -> Limits:
        """These, with ``usual`` where nothing is said."""
        own = {name: getattr(self, name) for name in KINDS}
        return Limits(**{name: getattr(usual, name) if value is None else value for name, value in own.items()})


#: Any amount of everything.
UNLIMITED: Final = Limits(images=0, pixel_steps=0, bytes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a job was counted with when it was accepted."""

    use: Use
    #: How many files it is to make.
    files: int = 1
    #: The API key that asked on behalf of its owner, as ``key:NAME``; it is counted as well. Empty where there is none.
    key: str = ""
