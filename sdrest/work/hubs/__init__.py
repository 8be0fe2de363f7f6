"""Searching CivitAI and Hugging Face: what there is, whether it runs here, and whether there is something newer."""
