"""A real PostgreSQL for the tests: one server a run, a fresh database for whoever asks."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg2
import pytest
import simpycity.config
from psycopg2.extensions import connection, make_dsn

from simpycity_template import Manager, embedded, get_manager


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


_manager_numbers = count(1)


@pytest.fixture
def make_manager(dsn: str) -> Iterator[Callable[..., Manager]]:
    """Makes managers of the fresh database; settings are given without their prefix.

    The manager made last is Simpycity's handle factory until the test ends.
    """
    made = []
    factory = simpycity.config.handle_factory

    def make(default: bool = True, **settings: object) -> Manager:
        manager = get_manager(f"test {next(_manager_numbers)}")
        given = {"dsn": dsn, "pool_timeout": 5, **settings}
        config = {f"simpycity.{key}": value for key, value in given.items()}
        manager.configure(config, default=default)
        made.append(manager)
        return manager

    yield make
    simpycity.config.handle_factory = factory
    for manager in made:
        manager.cleanup()
        manager.dispose()


@pytest.fixture
def manager(make_manager: Callable[..., Manager]) -> Manager:
    """A manager of the fresh database, as Simpycity's handle factory."""
    return make_manager()
