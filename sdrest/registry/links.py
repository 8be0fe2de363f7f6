"""Which symbolic links in the model folders are followed when these are read.

Nothing is written through a link that leads out: :mod:`sdrest.registry.placing` and ``Folders.confine`` see to that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sdrest.registry.folders import Folders

_ROOT_UID = 0


@dataclass(frozen=True, slots=True)
class LinkRule:
    """Links to places within ``roots`` (resolved paths) are followed; others only with ``follow``, and only those of ``owners``.

    The owners keep apart who set the server up from others who can merely write into a model folder: those could have the
    server read for them what they cannot read themselves.
    """

    roots: tuple[str, ...]
    follow: bool
    owners: frozenset[int]

    def refusal(self, link: str) -> str | None:
        """Why the link at this path is not followed; None when it is. Raises OSError when it has gone."""
        target = os.path.realpath(link)
        if any(target == root or target.startswith(root + os.sep) for root in self.roots):
            return None
        how = f"links to {target}," if target != os.path.abspath(link) else "lies"  # noqa: PTH100 - links are not resolved
        outside = f"{how} outside the model folders"
        if not self.follow:
            return f"{outside} (follow_links is off)"
        if os.lstat(link).st_uid not in self.owners:
            return f"{outside}, and belongs to neither the server's account, root, nor the owner of a model folder"
        return None


def link_rule(folders: Folders, *, follow: bool) -> LinkRule:
    """The rule for these folders.

    Owners are the account that the server runs as, root, and whoever owns the models directory or one of the model folders.
    """
    own = (folders.models_dir, *(folder.path for folder in folders.all()))
    # Of other programs' folders, what is named is the root: a folder in it that is a link leads out of it.
    paths = (*own, *(lender.root for lender in folders.lenders))
    roots = dict.fromkeys(str(path.resolve()) for path in paths)
    return LinkRule(tuple(roots), follow, frozenset({os.geteuid(), _ROOT_UID, *_owners(paths)}))


def _owners(paths: Iterable[Path]) -> Iterable[int]:
    for path in paths:
        try:
            yield path.stat().st_uid
        except OSError:  # not there: nobody's
            continue
