"""The web UI under ``/ui/``: pages rendered on the server, live by Server-Sent Events, useful without JavaScript."""
