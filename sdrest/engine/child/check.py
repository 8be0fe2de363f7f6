"""``python -m sdrest.engine.child.check``: whether the native library that would be loaded is one that this sdrest can use."""

from __future__ import annotations

import sys

from sdrest.engine.child.binding import NativeError, NativeLibrary


def main() -> None:
    """Load the library, which checks it, and say which one it is. Exits with 1 and the reason where it cannot be used."""
    try:
        library = NativeLibrary.load()
    except NativeError as error:
        sys.exit(str(error))
    sys.stdout.write(
        f"{library.path}: stable-diffusion.cpp {library.version} ({library.commit}), its interface is the known one\n"
    )


if __name__ == "__main__":
    main()
