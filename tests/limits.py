"""A time limit that a signal raises, at each moment at which Python may raise one."""

import gc
import signal
import sys
from contextlib import contextmanager
from functools import partial
from itertools import count


class Limit(TimeoutError):
    """As those of whoever takes Python's own class for a time limit."""


def limit(number, frame):
    raise Limit("time limit")


@contextmanager
def limits():
    """A block in which SIGUSR1 raises one."""
    before = signal.signal(signal.SIGUSR1, limit)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def arrive():
    signal.raise_signal(signal.SIGUSR1)


@contextmanager
def limit_at(number, files, since, raised):
    """A block in which a limit arrives at that of the moments in ``files`` where Python may raise one.

    These are the beginning of a function and the return of a built-in one; those before the function
    ``since`` do not count.
    """
    passed, begun = count(), not since

    def profile(frame, event, argument):
        nonlocal begun
        begun = begun or frame.f_code.co_name == since
        if (
            begun
            and event in ("call", "c_return")
            and frame.f_code.co_filename.endswith(files)
            # Python lets nothing come between a lock and its block.
            and getattr(argument, "__name__", "") != "__enter__"
            # What is raised here where Python 3.10 resumes a generator ends it without its finally;
            # there a signal raises inside the generator.
            and (event != "call" or frame.f_lasti < 0 or sys.version_info >= (3, 11))
            and next(passed) == number
        ):
            raised.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
            arrive()

    # Python drops what is raised in a destructor: let none run here of what earlier tests have left.
    gc.disable()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        gc.enable()


def at_each_moment(work, *files, since=""):
    """Do ``work(block)`` once for each moment in its ``block``, with a limit then; yield after each."""
    for number in count():
        raised = []
        try:
            with limits():
                work(partial(limit_at, number, files, since, raised))
        except Limit:
            # Not here: who keeps the exception, keeps the frames that it has left.
            limited = True
        else:
            limited = False
        if limited:
            yield number
        else:
            assert not raised, f"the limit was dropped in {raised}"
            assert number > 3, "nothing was seen"
            return
