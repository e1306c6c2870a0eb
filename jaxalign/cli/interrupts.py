"""Signals that end a command: Ctrl-C and, alike, the SIGTERM of schedulers and of `kill`."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Handler = Callable[[int, Any], Any]


@contextmanager
def on_interrupt(handler: Handler = signal.default_int_handler) -> Iterator[None]:
    """Calls ``handler(number, frame)`` on either signal; by default it raises KeyboardInterrupt.

    Python hands signals to the main thread only; in another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, before in zip(numbers, previous, strict=True):
            signal.signal(number, before)
