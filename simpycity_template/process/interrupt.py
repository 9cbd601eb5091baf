"""Ctrl-C ends the statement that the main thread waits for, and not only the wait after it.

psycopg2 waits in C, and Python runs the handler of a signal when that returns: when the server is
done. psycopg2's wait callback would wait in Python, but in every thread and at the cost of each
statement, and with it COPY and large objects do not work. Here Python's own C handler writes the
number of the signal into a pipe, and a thread that reads it has the server cancel the statement.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from time import sleep
from types import BuiltinFunctionType, FrameType
from typing import NoReturn

from psycopg2 import extensions

from simpycity_template.process import fork

INTERVAL = 0.05
"""Seconds between two tries to cancel what the main thread waits for."""

_STOP = 0


class _Listener:
    """A thread that learns of a signal at once.

    Attributes:
        thread: None where it does not run.
    """

    def __init__(self) -> None:
        self._reading = self._writing = -1
        self._cancel: Callable[[Callable[[], bool]], object] = bool
        self.thread: threading.Thread | None = None

    def start(self, cancel: Callable[[Callable[[], bool]], object]) -> None:
        """Begin to listen, where no one else listens.

        Call it in the main thread.
        """
        if self._writing < 0:
            self._reading, self._writing = os.pipe()
            os.set_blocking(self._writing, False)
        others = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        if others not in (-1, self._writing):
            signal.set_wakeup_fd(others)
            return
        self._cancel = cancel
        self._run()

    def _run(self) -> None:
        if self.thread is None:
            self.thread = threading.Thread(
                target=self._listen, name="simpycity interrupt", daemon=True
            )
            self.thread.start()

    def _listen(self) -> None:
        while True:
            numbers = os.read(self._reading, 64)
            if _STOP in numbers:
                return
            if any(_ends_work(number) for number in numbers):
                self._end_statement()

    def _end_statement(self) -> None:
        """Cancel, until the main thread has gone on to where Python runs the handler."""
        while self.thread is not None:
            before = _position()
            # One that was just being sent is not under way yet, and is found at the next try.
            self._cancel(partial(_is_at, before))
            sleep(INTERVAL)
            if _position() != before:
                return

    # Python warns where a process with threads forks, and the child would read from this pipe, too.

    def pause(self) -> None:
        """End the thread for the moment of a fork."""
        thread, self.thread = self.thread, None
        if thread is not None and thread is not threading.current_thread():
            os.write(self._writing, bytes([_STOP]))
            thread.join()

    def resume(self) -> None:
        """Begin again, after a fork, in the parent."""
        if self._writing >= 0:
            self._run()

    def forget(self) -> None:
        """Listen no more, in a new child."""
        self.thread = None
        if self._writing >= 0:
            with suppress(ValueError):
                others = signal.set_wakeup_fd(-1)
                if others not in (-1, self._writing):
                    signal.set_wakeup_fd(others)
            os.close(self._reading)
            os.close(self._writing)
            self._reading = self._writing = -1


def listen(cancel: Callable[[Callable[[], bool]], object]) -> None:
    """Let Ctrl-C, and SIGTERM in a ``terminable()`` block, end what the main thread waits for.

    Nothing happens in another thread, in a server that has handlers of its own, and where psycopg2
    has a wait callback or threads are greenlets.

    Arguments:
        cancel: cancels what the main thread has under way in a server, if anything; it is given
            what tells, at the last moment, whether the thread still waits there.
    """
    if (
        threading.current_thread() is threading.main_thread()
        # A shell lets what it starts in the background ignore Ctrl-C, but not SIGTERM.
        and any(map(_ends_work, (signal.SIGINT, signal.SIGTERM)))
        and extensions.get_wait_callback() is None
        # Where gevent makes greenlets of threads, one that waits in C stops all others.
        and isinstance(_thread.start_new_thread, BuiltinFunctionType)
        # It has signals of its own, and its workers are forked without Python.
        and "uwsgi" not in sys.modules
    ):
        _listener.start(cancel)


@contextmanager
def terminable() -> Iterator[None]:
    """A block that SIGTERM leaves with SystemExit, where else it would kill the process at once.

    So what the block has begun is taken back, and the server does not go on with it.
    """
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not ours:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    # As a shell tells of a process that a signal has ended.
    sys.exit(128 + number)


def _ends_work(number: int) -> bool:
    """Whether the handler of a signal raises; one of the application's own may just take note."""
    return signal.getsignal(number) in (signal.default_int_handler, _exit)


def _position() -> tuple[int, int] | None:
    """Where the main thread is: as long as it waits in C, it does not move."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    return (id(frame), frame.f_lasti) if frame is not None else None


def _is_at(position: tuple[int, int] | None) -> bool:
    return _position() == position


_listener = _Listener()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_listener.pause, after_in_parent=_listener.resume)
fork.after_in_child(_listener.forget)
