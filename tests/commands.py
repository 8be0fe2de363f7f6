"""Commands as users and scripts start them."""

from __future__ import annotations

from typing import Final

#: Goes before a command: it is started with SIGINT ignored, as a shell without job control starts what runs in the background.
WITHOUT_INTERRUPTS: Final = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
