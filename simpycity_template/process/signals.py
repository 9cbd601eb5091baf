"""What a signal's handler raises, such as a task's time limit, and how a clean-up ends all the same.

Such an exception may be of any class, and arrives between any two instructions. So it may look like an
error of the code that it has interrupted: ``TimeoutError`` is an ``OSError``.
"""

import signal
from collections.abc import Callable, MutableSequence
from contextlib import suppress
from functools import partial
from types import CodeType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


def raised_by_handler(error: BaseException) -> bool:
    """Whether the handler of a signal has raised ``error``.

    Arguments:
        error: as it was caught.
    """
    codes = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def _code_of(handler: Any) -> CodeType | None:
    """The code of a handler: a function, a method, a partial of one, or an object that is called."""
    while isinstance(handler, partial):
        handler = handler.func
    if callable(handler) and not hasattr(handler, "__code__"):
        handler = type(handler).__call__
    return getattr(handler, "__code__", None)


class suppress_own(suppress):
    """As ``contextlib.suppress``, for errors of what the block calls alone.

    What a signal's handler raises meanwhile goes on, whatever its class, and so does what another
    thread or a greenlet throws: that is made of a class alone, where an error of a call says what is
    wrong.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Suppress ``error`` where it is of the block's own."""
        if error is None or not error.args or raised_by_handler(error):
            return False
        return bool(super().__exit__(kind, error, trace))


def finish(step: Callable[..., object], *args: Any) -> None:
    """Call ``step``, and where something interrupts it call it again, before that goes on.

    What arrives before this has begun interrupts this, too. Where the step must not be left out,
    both calls stand in the clean-up itself.

    Arguments:
        step: raises nothing of its own, and may be called twice.
        args: what it is called with.
    """
    try:
        step(*args)
    except BaseException:
        step(*args)
        raise


def empty(queue: MutableSequence[T], step: Callable[[T], object]) -> None:
    """Call ``step`` with the first of ``queue``, and take that out, until none is left.

    Taken out last, so that an interruption does not lose it. Other threads may do the same at once.

    Arguments:
        queue: a list or a deque.
        step: may be called twice with one of them.
    """
    while queue:
        try:
            first = queue[0]
        except IndexError:
            # Another thread has taken it out.
            break
        step(first)
        with suppress(ValueError):
            queue.remove(first)
