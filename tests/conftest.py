"""A real PostgreSQL for the tests: one server a run, a fresh database for whoever asks."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection, make_dsn

from simpycity_template import embedded


class Server:
    """The embedded server of this run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.admin_dsn = embedded.dsn(str(directory), "postgres")
        self._numbers = count(1)

    def connect(self, database: str = "postgres") -> connection:
        """Open a superuser's autocommit connection; the caller closes it."""
        link = psycopg2.connect(make_dsn(self.admin_dsn, dbname=database))
        link.autocommit = True
        return link

    def create_database(self) -> str:
        """Create an empty database with a name of its own, and return its DSN."""
        return embedded.dsn(str(self.directory), f"test_{next(self._numbers)}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The embedded server of this run."""
    return Server(tmp_path_factory.mktemp("postgres"))


@pytest.fixture
def dsn(server: Server) -> str:
    """The DSN of a fresh, empty database."""
    return server.create_database()


@pytest.fixture
def witness(server: Server) -> Iterator[connection]:
    """A superuser's autocommit connection beside the tested ones, to look at pg_stat_activity."""
    link = server.connect()
    yield link
    link.close()
