"""``python -m sdrest``: the same as the command ``sdrest``."""

from sdrest.cli.sdrest import main

if __name__ == "__main__":
    main()
