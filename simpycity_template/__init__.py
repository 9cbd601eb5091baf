"""Connections that cannot leak, for Pylons applications whose model is PostgreSQL.

The public names are loaded at first use: the start-up hook that makes Pylons
importable on Python 3 passes through this package in every process, and must
not drag the database driver along.

Which module keeps which promise of docs/promises.rst:

     1  every handle is known                  simpycity_patches/handle.py, scopes/stack.py
     2  one transaction per scope              manager.py: checkout()
     3  nothing is committed by itself         driver/connection.py: reset_state()
     4  no garbage collector                   driver/connection.py: drop_cycles(); pool/pool.py
     5  cleanup() never raises of itself       scopes/checkout.py: release(); scopes/scope.py: close()
     6  whole or gone                          driver/commit_outcome.py, driver/merged_begin.py
     7  stale connections                      driver/check_socket.py
     8  threads that die                       scopes/stack.py: Stack.__del__()
     9  fork()                                 process/fork.py, driver/all_connections.py
    10  modules that are imported again        manager.py: get_manager()
    11  streamed responses                     scopes/request.py
    12  who has the connections                pool/owner.py, pool/report.py
    13  a scope is its unit's alone            scopes/scope.py: has_ended(); simpycity_patches/cursor.py
    14  what was prepared at connect           driver/session.py
    15  a limit is a limit                     pool/pool.py: _assign()
    16  pool_recycle                           pool/pool.py: _assign()
    17  the declared functions                 functions/
    18  the schema is one of two states        schema/apply.py
"""

# Type checkers know the name; typing itself would cost each start of Python milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from simpycity_template.errors import PoolTimeout, TransactionLost
    from simpycity_template.manager import Manager, get_manager

__all__ = ["Manager", "PoolTimeout", "TransactionLost", "get_manager"]

_HOME = {
    "Manager": "simpycity_template.manager",
    "get_manager": "simpycity_template.manager",
    "PoolTimeout": "simpycity_template.errors",
    "TransactionLost": "simpycity_template.errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
