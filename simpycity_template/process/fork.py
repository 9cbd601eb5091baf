"""Calls functions in each child process of fork(), as soon as it has begun."""

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
    """uWSGI forks its workers without telling Python, but calls one hook in each of them."""
    if uwsgi.masterpid():
        try:
            # When it is imported, it becomes that one hook, and it calls all that are given to it.
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
