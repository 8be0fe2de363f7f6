"""From settings to what the server refuses: for whom it runs, and how much anybody may ask for."""

from __future__ import annotations

from sdrest.core.errors import InvalidInput
from sdrest.core.use import MEGA, Limits
from sdrest.jobs.allowance import Allowance, Allowances
from sdrest.settings import AuthMode, Settings


def check_exposure(settings: Settings) -> None:
    """Refuse to offer a server without authentication to the network by accident.

    Raises:
        InvalidInput: a non-local address with ``auth none``.
    """
    local = settings.host in {"localhost", "::1"} or settings.host.startswith("127.")
    if not local and settings.auth is AuthMode.NONE and not settings.allow_anonymous:
        raise InvalidInput(
            f"{settings.host} can be reached from other machines and auth is none: choose another --auth, "
            "or say --allow-anonymous if everybody may use this server",
            field="host",
        )


def allowances_from(settings: Settings) -> Allowances:
    """How much users and guests may ask for."""
    return Allowances(
        user=Allowance(max_pending=settings.max_pending_jobs_per_user or None),
        guest=Allowance(
            max_pending=settings.guest_max_pending,
            max_pixels=settings.guest_max_pixels,
            max_steps=settings.guest_max_steps,
            max_images=settings.guest_max_images,
        ),
    )


def limits_from(settings: Settings) -> Limits:
    """How much everybody may have made in a day who has no limits of their own."""
    return Limits(
        images=settings.max_images_per_day,
        pixel_steps=settings.max_megapixel_steps_per_day * MEGA,
        bytes=settings.max_output_bytes_per_day,
    )
