"""The Model Context Protocol at ``/mcp``: tools and resources for assistants, on the official ``mcp`` package (extra ``mcp``)."""
