"""Web frameworks and workers: a few lines each, on the hooks that they offer.

None is imported unless an application imports it. They import the manager, which imports none of them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import parse_dsn

from simpycity_template.manager import Manager, get_manager
from simpycity_template.settings import EMBEDDED


@contextmanager
def installed(package: str) -> Iterator[None]:
    """A block of imports from ``package``, which is installed by the extra of that name.

    Raises:
        ImportError: it is not installed; the message says how it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"simpycity_template.frameworks.{package} needs {package}, which is not installed: "
            f"pip install 'simpycity_template[{package}]'",
            name=package,
        ) from error


def configured(name: str, settings: Any, where: str) -> Manager:
    """The manager of that name, with its settings.

    Arguments:
        name: of the application.
        settings: a dictionary such as ``{"dsn": "dbname=notes", "pool_size": 10}``.
        where: what the application calls that dictionary.

    Raises:
        ValueError: there are no settings, or one is wrong; the message says which and where.
    """
    if not isinstance(settings, Mapping):
        found = "not set" if settings is None else f"of type {type(settings).__name__}"
        raise ValueError(
            f"{where} is {found}: it must be a dictionary of settings "
            "such as {'dsn': 'host=localhost dbname=mine'}"
        )
    manager = get_manager(name)
    prefix = f"{where}."
    manager.configure({f"{prefix}{key}": value for key, value in settings.items()}, prefix)
    return manager


def database_name(manager: Manager) -> str | None:
    """The name of the database of a configured manager; None where libpq would choose it."""
    settings = manager.settings
    if settings is None:
        return None
    if settings.dsn.startswith(EMBEDDED):
        return settings.database or manager.name
    return parse_dsn(settings.dsn).get("dbname")
