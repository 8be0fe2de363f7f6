"""A server, web UI and command line for stable-diffusion.cpp."""

#: The package's metadata has it from here: asking the metadata takes longer than all else that an engine's process imports.
__version__ = "0.1.0"
