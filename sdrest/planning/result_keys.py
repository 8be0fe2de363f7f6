"""Answering a request that was answered before: the same parameters and seed on the same files give the same bytes.

The key of a result is a digest of everything that shapes it; of files that is what is in them, not where they lie. Where one of
these things is not known, there is no key and the picture is made. Every reuse is a job of its own, with files of its own: deleting
either job leaves the other's alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
from PIL import Image

from sdrest import __version__
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters, to_json
from sdrest.engine import messages
from sdrest.jobs.submission import Submission
from sdrest.planning.context_specs import ContextPlan
from sdrest.planning.loras_and_embeddings import Adapters
from sdrest.registry.contents import Contents


class ResultKeys:
    """Makes the keys.

    Args:
        engine: Tells what the native library is.
        enabled: Whether there are keys at all.
        written_by: What shapes files beside their jobs' parameters.
    """

    def __init__(
        self, engine: Callable[[], messages.Ready | None], *, enabled: bool, written_by: Sequence[str] = ()
    ) -> None:
        self._engine = engine
        self._written_by = tuple(written_by)
        self._enabled = enabled
        self._contents = Contents()

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
        pictures: dict[str, list[Image.Image]] = {}
        for field, items in submission.pictures.items():
            pictures[field] = [item for item in items if isinstance(item, Image.Image)]
            if len(pictures[field]) < len(items):  # one is only promised
                return ""
        if not self._enabled or not submission.reuse or parameters.seed == RANDOM_SEED or ready is None:
            return ""
        files = [*plan.spec.files, *adapters.embeddings, *(("lora", item.path) for item in adapters.loras)]
        files += [("upscaler", str(path)) for path in upscalers]
        try:
            contents = [(role, self._contents.of(path)) for role, path in files]
        except OSError:
            return ""
        parts = {
            "type": submission.type,
            "parameters": to_json(parameters),
            "files": contents,
            "options": plan.spec.options,
            "pictures": [
                (field, [(picture.mode, picture.size, hashlib.sha256(picture.tobytes()).digest()) for picture in items])
                for field, items in sorted(pictures.items())
            ],
            "made_by": (__version__, ready.version, ready.commit, ready.system_info, *self._written_by),
        }
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
