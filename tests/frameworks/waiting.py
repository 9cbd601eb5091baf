"""Waits for what other processes do, without sleeping and hoping."""

import time
from collections.abc import Callable


def eventually(look: Callable[[], object], seconds: float = 30) -> object:
    """What ``look`` returns as soon as that is true, or at last."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
