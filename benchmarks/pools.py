"""What promises.py tries: the manager and its peers, with the same methods for the same needs."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2


class Ours:
    """simpycity_template."""

    title = "simpycity_template"

    def __init__(self, dsn: str, size: int = 1, lifetime: int = 3600) -> None:
        from simpycity_template import get_manager

        self.manager = get_manager("tried")
        settings = {"dsn": dsn, "pool_size": size, "max_overflow": 0, "pool_timeout": 1}
        settings["pool_recycle"] = lifetime
        self.manager.configure({f"simpycity.{key}": settings[key] for key in settings})

    def run(self, sql: str) -> Any:
        cursor = self.manager.handle().cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None

    def commit(self) -> None:
        self.manager.commit()

    def end(self) -> None:
        self.manager.cleanup()

    def kept(self) -> Callable[[str], Any]:
        return self.manager.handle().execute

    def driver(self) -> Any:
        return self.manager.handle().conn

    def unit(self) -> Callable[[], Any]:
        block = self.manager.scope("a unit of work")
        block.__enter__()
        return lambda: block.__exit__(None, None, None)

    def stream(self, body: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        from simpycity_template.middleware import ManagerMiddleware

        def application(environ: Any, start_response: Any) -> Iterator[bytes]:
            return body()

        return iter(ManagerMiddleware(application, self.manager)({}, lambda *args: None))


class SQLAlchemy:
    """SQLAlchemy's scoped_session on its QueuePool, with psycopg2."""

    title = "SQLAlchemy"

    def __init__(self, dsn: str, size: int = 1, lifetime: int = 3600) -> None:
        import sqlalchemy
        from sqlalchemy.orm import scoped_session, sessionmaker

        engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn),
            pool_size=size, max_overflow=0, pool_timeout=1, pool_recycle=lifetime,
        )  # fmt: skip
        self.text, self.session = sqlalchemy.text, scoped_session(sessionmaker(engine))

    def run(self, sql: str) -> Any:
        result = self.session.execute(self.text(sql))
        return result.fetchall() if result.returns_rows else None

    def commit(self) -> None:
        self.session.commit()

    def end(self) -> None:
        self.session.remove()

    def kept(self) -> Callable[[str], Any]:
        connection = self.session.connection()
        return lambda sql: connection.execute(self.text(sql))

    def driver(self) -> Any:
        return self.session.connection().connection.driver_connection

    def unit(self) -> Callable[[], Any]:
        session: Any = self.session()
        return session.close

    def stream(self, body: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        return ending(body, self.end)


class PsycopgPool:
    """psycopg_pool, with a connection for each thread from getconn() to putconn()."""

    title = "psycopg_pool"

    def __init__(self, dsn: str, size: int = 1, lifetime: int = 3600) -> None:
        from psycopg_pool import ConnectionPool

        self.pool = ConnectionPool(
            dsn, min_size=size, max_size=size, timeout=1, open=True, max_lifetime=lifetime
        )
        self.pool.wait()
        self.local = threading.local()

    def driver(self) -> Any:
        if getattr(self.local, "connection", None) is None:
            self.local.connection = self.pool.getconn()
        return self.local.connection

    def unit(self) -> Callable[[], Any]:
        connection = self.driver()
        return lambda: self.pool.putconn(connection)

    def run(self, sql: str) -> Any:
        cursor = self.driver().execute(sql)
        return cursor.fetchall() if cursor.description else None

    def commit(self) -> None:
        self.local.connection.commit()

    def end(self) -> None:
        connection, self.local.connection = getattr(self.local, "connection", None), None
        if connection is not None:
            self.pool.putconn(connection)

    def kept(self) -> Callable[[str], Any]:
        connection = self.local.connection
        return lambda sql: connection.cursor().execute(sql)

    def stream(self, body: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        return ending(body, self.end)


class Psycopg2Pool(PsycopgPool):
    """psycopg2.pool.ThreadedConnectionPool, used the same way."""

    title = "psycopg2.pool"

    def __init__(self, dsn: str, size: int = 1, lifetime: int = 3600) -> None:
        from psycopg2.pool import ThreadedConnectionPool

        self.pool = ThreadedConnectionPool(size, size, dsn)
        self.local = threading.local()

    def run(self, sql: str) -> Any:
        cursor = self.driver().cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def ending(body: Callable[[], Iterator[bytes]], end: Callable[[], None]) -> Iterator[bytes]:
    """A body that ends its request when it is exhausted, closed or dropped."""
    try:
        yield from body()
    finally:
        end()
