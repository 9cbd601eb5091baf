"""Output into a pipe whose reader may have had enough, as that of ``| head`` has."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """A block that prints. It ends early, and without a word, where nobody reads on."""
    try:
        yield
        # Here, because Python's own flush at exit would complain.
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer has to go somewhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
