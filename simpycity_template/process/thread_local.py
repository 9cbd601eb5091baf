"""What belongs to one thread, or to one greenlet where gevent makes greenlets of threads."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerThread(Generic[T]):
    """One object for each thread, also where gevent replaces ``threading.local`` later.

    gunicorn's gevent worker replaces it after the application was imported, where it runs with
    ``--preload``. A ``threading.local`` from before that is the same for all greenlets of a thread,
    so they would share their scopes. Therefore a new one is made when it was replaced.
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
