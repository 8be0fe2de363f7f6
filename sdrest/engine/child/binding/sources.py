"""Which sources the Python package builds the library from, where the library itself cannot say.

The library asks git for its commit when it is built. The package's source archive holds its sources outside their repository:
git gives no answer, and the library says ``unknown``. The archive tells the commit of the package's own repository that it was made
from, and that commit pins the library's sources.
"""

from __future__ import annotations

from typing import Final

PACKAGE: Final = "stable-diffusion-cpp-python"

#: Version of the package → commit of https://github.com/william-murray1204/stable-diffusion-cpp-python it was published from, as
#: ``.git/refs/heads/main`` in the source archive on PyPI has it.
_COMMITS: Final = {
    "0.4.7": "0a30c4d5a968236662036a5a32f063b2f27414e1",
}


def commit_of(version: str) -> str:
    """The package's name, an ``@`` and the commit that this version was published from; ``unknown`` when it is not known here."""
    commit = _COMMITS.get(version)
    return f"{PACKAGE}@{commit[:12]}" if commit else "unknown"
