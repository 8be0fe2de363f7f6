"""Ctrl-C, also where a command was started without it."""

from __future__ import annotations

import signal
import threading


def heed_interrupts() -> None:
    """Let SIGINT end this command even when it was started with that signal ignored.

    Shells without job control start what runs in the background that way (``make run &`` in a script), and so do some CI
    machines. The commands end tidily on SIGINT; without it only SIGTERM would be left.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
