"""The API of stable-diffusion.cpp's own server."""
