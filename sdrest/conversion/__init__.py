"""Conversion of model files between element types: plan, run, verify, compare."""
