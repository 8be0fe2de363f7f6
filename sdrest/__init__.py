"""A server, web UI and command line for stable-diffusion.cpp."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sdrest")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0+source"
