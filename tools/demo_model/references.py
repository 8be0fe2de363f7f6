"""Write the small reference pictures that the tests compare drawings with: one PNG of 32×32 RGBA tiles, and the names."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
from data import load_icons, objects
from PIL import Image

TILE = 32
ACROSS = 16


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the PNG; the names go beside it as .json")
    parser.add_argument("--count", type=int, default=160)
    arguments = parser.parse_args()
    icons = load_icons(arguments.run)
    names = random.Random(21).sample(sorted(objects()), arguments.count)
    tiles = []
    for name in names:
        whole = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
        side = round(256 * 0.84)
        whole.paste(Image.fromarray(icons[name]).resize((side, side)), ((256 - side) // 2,) * 2)
        tiles.append(np.asarray(whole.resize((TILE, TILE), Image.Resampling.BOX)))
    rows = [np.concatenate(tiles[i : i + ACROSS], 1) for i in range(0, len(tiles), ACROSS)]
    Image.fromarray(np.concatenate(rows)).save(arguments.out, optimize=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(names, indent=0) + "\n")


if __name__ == "__main__":
    main()
