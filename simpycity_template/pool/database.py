"""Where a manager's connections go: the database of its settings, or another one."""

from math import ceil
from typing import Any

import psycopg2

from simpycity_template.driver.conninfo import defaults
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
        """The libpq DSN; starts an embedded server."""
        settings = self.settings
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
            psycopg2.OperationalError: the server cannot be reached.
        """
        if dsn is None and self._server is not None:
            try:
                return psycopg2.connect(self._server, **options)
            except psycopg2.OperationalError:
                # The embedded server may have stopped: dsn() starts it again.
                pass
        dsn = dsn or self.dsn()
        # A server that does not answer must not hold a thread up for minutes.
        limits = defaults(dsn, ceil(self.settings.pool_timeout))
        return psycopg2.connect(dsn, **limits, **options)
