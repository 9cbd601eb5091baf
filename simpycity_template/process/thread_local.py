"""What belongs to one thread, or to one greenlet where gevent makes greenlets of threads."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerThread(Generic[T]):
    """One object for each thread, and right also where gevent replaces ``threading.local`` later.

    gunicorn's gevent worker does: with ``--preload`` the application is imported before. One made
    before is shared by all greenlets of a thread, and so would be the scopes kept in it.
    """

    __slots__ = ("_base", "_local", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        """
        Arguments:
            make: makes the object of a thread, when the thread first asks for it.
        """
        self._make = make
        self._base: type = threading.local
        self._renew()

    def _renew(self) -> None:
        make = self._make

        class Local(threading.local):
            # Called once in each thread.
            def __init__(self) -> None:
                self.own = make()

        self._base = threading.local
        self._local = Local()

    def get(self) -> T:
        """The object of this thread."""
        if self._base is not threading.local:
            self._renew()
        return self._local.own
