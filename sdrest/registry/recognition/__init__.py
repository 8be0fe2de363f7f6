"""Telling what a model file is by its tensors."""
