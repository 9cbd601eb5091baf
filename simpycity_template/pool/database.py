"""Where a manager's connections go: the database of its settings, or another one."""

from dataclasses import replace
from math import ceil
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from simpycity_template.driver.conninfo import defaults
from simpycity_template.driver.green import connect_to_any
from simpycity_template.pool.password import password_of
from simpycity_template.settings import EMBEDDED, Settings


class Database:
    """The database of the settings.

    Attributes:
        settings: of the manager.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        """
        Arguments:
            settings: of the manager.
            name: of the manager; an embedded database is called so where the settings name none.
        """
        self.settings = settings
        self._name = name
        # The DSN of the embedded server, once it is started.
        self._server: str | None = None

    def dsn(self) -> str:
        """The libpq DSN, with the password of this moment; starts an embedded server.

        Raises:
            psycopg2.OperationalError: ``password_command`` gave no password.
        """
        settings = self.settings
        if settings.password_command is not None:
            password = password_of(settings.password_command, settings.pool_timeout)
            return make_dsn(settings.dsn, password=password)
        if not settings.dsn.startswith(EMBEDDED):
            return settings.dsn
        from simpycity_template import embedded

        directory = settings.dsn.removeprefix(EMBEDDED).strip()
        self._server = embedded.dsn(directory, settings.database or self._name)
        return self._server

    def connect(self, dsn: str | None, **options: Any) -> Any:
        """Open a connection, as ``psycopg2.connect()`` does.

        Arguments:
            dsn: of another database; None for the one of the settings.
            options: as those of ``psycopg2.connect()``.

        Raises:
            psycopg2.OperationalError: the server cannot be reached, or refuses the connection. It
                has ``is_busy``, as ``PoolTimeout`` has.
        """
        try:
            return self._connect(dsn, options)
        except psycopg2.OperationalError as error:
            # The request has done nothing yet: it may succeed when the server is back.
            error.is_busy = True  # type: ignore[attr-defined]
            raise

    def _connect(self, dsn: str | None, options: dict[str, Any]) -> Any:
        if dsn is None and self._server is not None:
            try:
                return psycopg2.connect(self._server, **options)
            except psycopg2.OperationalError:
                # The embedded server may have stopped: dsn() starts it again.
                pass
        dsn = dsn or self.dsn()
        # A server that does not answer must not hold a thread up for minutes.
        limits = defaults(dsn, ceil(self.settings.pool_timeout))
        return connect_to_any(psycopg2.connect, dsn, **limits, **options)


def address(settings: Settings) -> dict[str, str | None]:
    """Where the database of ``settings`` is, and who is logged in; no password."""
    if settings.dsn.startswith(EMBEDDED):
        return {"dsn": settings.dsn, "dbname": settings.database}
    parts = parse_dsn(settings.dsn)
    names = ("service", "host", "hostaddr", "port", "dbname", "user")
    return {name: parts[name] for name in names if name in parts}


def differ_in_login(before: Settings, after: Settings) -> bool:
    """Whether two settings log in at the same database as the same user, each in its own way.

    So the connections of both count against the same limit.
    """
    same = replace(after, dsn=before.dsn, password_command=before.password_command)
    return before != after and same == before and address(before) == address(after)
