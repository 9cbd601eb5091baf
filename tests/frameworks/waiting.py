"""Waits for what other processes do, without sleeping and hoping."""

import time
from collections.abc import Callable

from support import PATIENCE


def eventually(look: Callable[[], object]) -> object:
    """What ``look`` returns as soon as that is true, or at last."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
