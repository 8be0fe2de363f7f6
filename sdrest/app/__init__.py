"""From settings to a running application: the one place that knows every part."""

from sdrest.app.composition import build_app

__all__ = ["build_app"]
