"""Tells what a signal's handler has raised, such as a task's time limit, from errors of the code it has interrupted."""

import signal


def raised_by_handler(error: BaseException) -> bool:
    """Whether the handler of a signal has raised ``error``.

    Arguments:
        error: as it was caught.
    """
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {getattr(handler, "__code__", None) for handler in handlers}
    codes |= {getattr(getattr(handler, "__func__", None), "__code__", None) for handler in handlers}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False
