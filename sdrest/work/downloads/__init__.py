"""Downloading models: what a source is, how it is found and fetched, and what happens to what was begun."""
