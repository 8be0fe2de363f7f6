"""Command lines: `sdrest` and `sd-convert`."""
