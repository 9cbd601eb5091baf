"""Connections that cannot leak, for Pylons applications whose model is PostgreSQL.

The public names are loaded at first use: the start-up hook that makes Pylons
importable on Python 3 passes through this package in every process, and must
not drag the database driver along.
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
