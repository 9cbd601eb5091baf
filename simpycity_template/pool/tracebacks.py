"""Tracebacks of SQL errors that end with the application's line, as where psycopg2 is called by it.

The frames between that line and psycopg2 are Simpycity's and this package's: the same ten each time.
"""

import psycopg2

from simpycity_template.pool.call_site import is_ours


def end_at_application(error: BaseException) -> None:
    """Take the innermost frames off the traceback of an SQL error, and off those that it hides.

    A traceback without a frame of the application stays as it is.
    """
    seen = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        if isinstance(at, psycopg2.Error):
            _cut(at)
        at = at.__cause__ or at.__context__


def _cut(error: BaseException) -> None:
    last, frame = None, error.__traceback__
    while frame is not None:
        if not is_ours(frame.tb_frame.f_code.co_filename):
            last = frame
        frame = frame.tb_next
    if last is not None:
        last.tb_next = None
