"""HTTP: the native API, the dialects, the pages; the only importer of aiohttp beside the composition root and the CLI."""
