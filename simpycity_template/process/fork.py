"""Tells who asks for it that this process is a new child of fork()."""

import os
import sys
from collections.abc import Callable
from typing import Any


def after_in_child(hook: Callable[[], None]) -> None:
    """Call ``hook`` in each child process before anything else of the application runs there."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=hook)
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None:
        _after_in_worker(uwsgi, hook)


def _after_in_worker(uwsgi: Any, hook: Callable[[], None]) -> None:
    """uWSGI forks its workers without a word to Python, but has a place for one hook."""
    if uwsgi.masterpid():
        try:
            # Whoever imports it takes the place, and shares it. So it has to be ours as well.
            import uwsgidecorators
        except ImportError:
            pass
        else:
            uwsgidecorators.postfork(hook)
            return
    before = getattr(uwsgi, "post_fork_hook", None)

    def both() -> None:
        if before:
            before()
        hook()

    uwsgi.post_fork_hook = both
