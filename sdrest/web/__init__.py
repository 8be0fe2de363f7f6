"""HTTP: the native API, the dialects and the pages. Only this package, `app` and `cli` import aiohttp."""
