"""The databases that declarations are compared with: of the embedded server, and of Debian's."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import make_dsn
from servers import OwnServer, own_server

DEBIAN = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="session")
def debian() -> Iterator[OwnServer]:
    """The server of Debian's package postgresql-15."""
    if not (DEBIAN / "postgres").exists():
        pytest.skip("needs Debian's package postgresql-15")
    with own_server(programs=DEBIAN) as server:
        yield server


@pytest.fixture(scope="session")
def debian_database(debian: OwnServer) -> Callable[[], str]:
    """Creates an empty database of Debian's server, and returns its DSN."""
    numbers = count(1)

    def create() -> str:
        name = f"debian_{next(numbers)}"
        debian.query(f"CREATE DATABASE {name}")
        return make_dsn(debian.dsn, dbname=name)

    return create


@pytest.fixture(scope="module", params=["embedded", "Debian's"])
def create_database(request: pytest.FixtureRequest, server: Any) -> Callable[[], str]:
    """Creates an empty database, and returns its DSN: each test runs on both servers."""
    if request.param == "embedded":
        create: Callable[[], str] = server.create_database
    else:
        create = request.getfixturevalue("debian_database")
    return create


@pytest.fixture
def dsn(create_database: Callable[[], str]) -> str:
    """The DSN of a fresh, empty database."""
    return create_database()
