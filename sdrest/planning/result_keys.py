"""Answering a request that was answered before: the same parameters and seed on the same files give the same bytes.

The key of a result is a digest of everything that shapes it; where one of these things is not known, there is no key and the
picture is made. Every reuse is a job of its own, with files of its own: deleting either job leaves the other's alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from sdrest import __version__
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters, to_json
from sdrest.engine import messages
from sdrest.jobs.submission import Submission
from sdrest.planning.context_specs import ContextPlan
from sdrest.planning.loras_and_embeddings import Adapters


class ResultKeys:
    """Makes the keys; ``engine`` tells what the native library is, ``enabled`` whether there are keys at all."""

    def __init__(self, engine: Callable[[], messages.Ready | None], *, enabled: bool) -> None:
        self._engine = engine
        self._enabled = enabled

    def of(
        self,
        submission: Submission,
        parameters: GenerationParameters,
        plan: ContextPlan,
        adapters: Adapters,
        upscalers: Iterable[Path] = (),
    ) -> str:
        """The key of what a submission asks for with complete ``parameters``; empty when its result is not to be shared.

        Looks at files: not for the event loop.
        """
        ready = self._engine()
        if not self._enabled or not submission.reuse or parameters.seed == RANDOM_SEED or ready is None:
            return ""
        files = [*plan.spec.files, *adapters.embeddings, *((item.path, item.path) for item in adapters.loras)]
        files += [(str(path), str(path)) for path in upscalers]
        try:
            states = [(name, path, _state(path)) for name, path in files]
        except OSError:
            return ""
        parts = {
            "type": submission.type,
            "parameters": to_json(parameters),
            "files": states,
            "options": plan.spec.options,
            "pictures": [
                (field, [(picture.mode, picture.size, hashlib.sha256(picture.tobytes()).digest()) for picture in items])
                for field, items in sorted(submission.pictures.items())
            ],
            "made_by": (__version__, ready.version, ready.commit, ready.system_info),
        }
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _state(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_size, found.st_mtime_ns
