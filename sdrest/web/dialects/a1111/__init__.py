"""The API of the AUTOMATIC1111 web UI."""
