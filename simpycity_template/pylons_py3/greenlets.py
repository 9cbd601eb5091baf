"""Refuses requests where gevent made greenlets of threads only after Pylons was loaded.

Pylons keeps a request in ``threading.local``, which gevent replaces; but what was made of the one before, all greenlets
of a thread share: visitors would get each other's request and session.
"""

import threading

_local = threading.local


def refuse_late_greenlets() -> None:
    """Raise an error where that happened.

    Raises:
        RuntimeError: it did.
    """
    if threading.local is not _local:
        raise RuntimeError(
            "gevent made greenlets of threads after Pylons was loaded, so visitors would get each "
            "other's request and session: put 'from gevent import monkey; monkey.patch_all()' before "
            "all that loads the application; with gunicorn's preload_app that is the beginning of "
            "gunicorn.conf.py"
        )
