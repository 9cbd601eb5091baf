"""A folder of SQL files, and the schema that it is."""

import pytest

from simpycity_template.schema import Schema


class Folder:
    """A model's folder, written as a developer does."""

    def __init__(self, path):
        self.path = path
        (path / "migrations").mkdir()

    def migration(self, name, text):
        """Write a migration."""
        path = self.path / "migrations" / name
        path.write_text(text)
        return path

    def functions(self, text):
        """Write schema.sql."""
        (self.path / "schema.sql").write_text(text)


@pytest.fixture
def folder(tmp_path):
    """An empty folder for a model."""
    return Folder(tmp_path)


@pytest.fixture
def schema(manager, folder):
    """The schema in that folder, for a fresh database."""
    return Schema(manager, folder.path)


@pytest.fixture
def rows(server, dsn):
    """Asks the database, beside the manager; one value a row."""
    from psycopg2.extensions import parse_dsn

    def rows(query):
        link = server.connect(parse_dsn(dsn)["dbname"])
        try:
            with link.cursor() as cursor:
                cursor.execute(query)
                return [row[0] for row in cursor.fetchall()] if cursor.description else []
        finally:
            link.close()

    return rows
