"""Carrying jobs out: on the engine, on model files, on the network."""
