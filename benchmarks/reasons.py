"""Why an aim is missed, as far as it is known: shown below the figures of a result as long as it is."""

from __future__ import annotations

from typing import Final

from benchmarks.results import Figure

#: Result → the beginning of a figure's name → the reason.
_REASONS: Final[dict[str, dict[str, str]]] = {
    "overhead": {
        "added by the server": "ten stages of about a millisecond of Python each, and three writes that wait for the disk: a job is on it "
        "before it is accepted, a picture before it is told of. No stage stands out; the table below has them all.",
    },
    "comparison": {
        "8 clients": "a picture as small as these keeps all processors busy for 40 ms, and what a job costs the server (see above) is taken "
        "from them. It does not grow with the picture.",
        "cold start": "until Python has read the settings, and the engine's process has loaded the library, half a second goes by; then the "
        "model is loaded, as sd-server does at once, while the server imports the rest of itself.",
    },
    "contention": {
        "largest ratio": "at the sizes at which a picture takes seconds there are two or three rounds, which tell no more than that neither "
        "is ahead.",
    },
}


def reason(result: str, figure: Figure) -> str:
    """Why a figure is not what it should be; empty when it is, or when nothing is known."""
    if figure.met is not False:
        return ""
    known = _REASONS.get(result, {})
    return next((text for what, text in known.items() if figure.what.startswith(what)), "")
