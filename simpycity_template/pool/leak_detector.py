"""Logs a connection that is held longer than ``hold_warning``, once, while it is still held."""

import logging
import threading
from collections.abc import Callable
from math import inf
from time import monotonic

from simpycity_template.pool.events import Events
from simpycity_template.pool.owner import Owner, scope_named

log = logging.getLogger("simpycity_template")


class LeakDetector:
    """One daemon thread, which sleeps until the next hold can be overdue."""

    def __init__(self, owners: Callable[[], list[Owner]], seconds: float, events: Events) -> None:
        """
        Arguments:
            owners: returns who has a connection now.
            seconds: the age at which a hold is logged; 0 is never, and needs no thread.
            events: count each hold that is logged, and call the listeners.
        """
        self._owners = owners
        self._seconds = seconds
        self._events = events
        self.forked()

    def start(self) -> None:
        """Start the thread, if holds are to be logged."""
        if self._seconds and not self._runs.locked():
            threading.Thread(target=self._run, name="simpycity hold_warning", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    def forked(self) -> None:
        """A child process has no thread yet."""
        self._runs = threading.Lock()
        self._stopped = threading.Event()

    def _run(self) -> None:
        # Here, so that it runs once, and is started again where something interrupted that.
        if not self._runs.acquire(blocking=False):
            return
        looked, pause = -inf, self._seconds
        while not self._stopped.wait(pause):
            now = monotonic()
            pause = self._look(looked, now)
            looked = now

    def _look(self, before: float, now: float) -> float:
        """Log what is overdue since the look before; returns the seconds until anything else can be."""
        pause = self._seconds
        for owner in self._owners():
            due = owner.since + self._seconds
            if due > now:
                pause = min(pause, due - now)
            elif due > before:
                age = now - owner.since
                log.warning(
                    "a connection is held for %.1f s: thread %r, %s, taken at %s, last statement: %s",
                    age,
                    owner.thread,
                    scope_named(owner.label, owner.thread),
                    owner.place,
                    owner.last_sql or "none",
                )
                self._events.fire("hold_warning", owner, age)
        return pause
