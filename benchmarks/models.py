"""A thousand rows as objects: Simpycity's models beside SQLAlchemy's ORM and Django's.

Each contestant reads the same table in a transaction of its own, and then each column of each
object. They take turns in one process, and each object is garbage before the next turn begins.
"""

import gc
import tempfile
from datetime import datetime
from statistics import median, quantiles
from time import perf_counter

import psycopg2
from psycopg2.extensions import parse_dsn
from report import publish

from simpycity_template import embedded, get_manager

ROUNDS = 41
BASE = "SQLAlchemy's ORM"
COLUMNS = ["id", "title", "body", "pages", "written"]
TABLE = """
CREATE TABLE note (id int PRIMARY KEY, title text, body text, pages int, written timestamptz);
INSERT INTO note SELECT n, 'note ' || n, repeat('x', 40), n % 7, now()
FROM generate_series(1, 1000) AS n;
CREATE FUNCTION notes() RETURNS SETOF note LANGUAGE sql STABLE AS 'SELECT * FROM note';
"""


def simpycity(dsn):
    """Rows, models whose class is the callback, and those that a callback calls the class for."""
    from simpycity.core import Function
    from simpycity.model import SimpleModel

    manager = get_manager("models")
    manager.configure({"simpycity.dsn": dsn})

    class Note(SimpleModel):
        table = COLUMNS

    def contestant(callback):
        notes = Function("notes", callback=callback)

        def fetch():
            with manager.scope("GET /notes"):
                return notes().fetchall()

        return fetch

    return contestant(None), contestant(Note), contestant(lambda row: Note(**row))


def sqlalchemy(dsn):
    from sqlalchemy import create_engine, select
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Note(Base):
        __tablename__ = "note"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]
        body: Mapped[str]
        pages: Mapped[int]
        written: Mapped[datetime]

    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn))

    def fetch():
        with Session(engine) as session:
            return session.scalars(select(Note)).all()

    return fetch


def django(dsn):
    import django
    from django.conf import settings
    from django.db import models, transaction

    parts = parse_dsn(dsn)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts["host"],
        "PORT": parts.get("port", ""),
        "NAME": parts["dbname"],
        "USER": parts["user"],
        "CONN_MAX_AGE": None,
    }
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()

    class Note(models.Model):
        title = models.TextField()
        body = models.TextField()
        pages = models.IntegerField()
        written = models.DateTimeField()

        class Meta:
            app_label = "benchmark"
            db_table = "note"

    def fetch():
        with transaction.atomic():
            return list(Note.objects.all())

    return fetch


def read(objects):
    """Read each column of each."""
    for one in objects:
        one.id, one.title, one.body, one.pages, one.written  # noqa: B018


def read_rows(rows):
    for row in rows:
        row["id"], row["title"], row["body"], row["pages"], row["written"]  # noqa: B018


def compare(dsn):
    """Milliseconds of each contestant, a list of one number a round."""
    rows, models, called = simpycity(dsn)
    contestants = {
        BASE: (sqlalchemy(dsn), read),
        "Django's ORM": (django(dsn), read),
        'Function("notes", callback=Note)': (models, read),
        "the same, callback=lambda row: Note(**row)": (called, read),
        "the same, as rows": (rows, read_rows),
    }
    times = {name: [] for name in contestants}
    for number in range(ROUNDS + 3):
        for name, (fetch, read_all) in contestants.items():
            gc.collect()
            began = perf_counter()
            read_all(fetch())
            # The first connect, and compile their statements.
            if number >= 3:
                times[name].append((perf_counter() - began) * 1e3)
    return times


def report(times):
    """The table, as text: each beside the base in the same round, with the quartiles."""
    lines = [f"{'1,000 rows as objects':45}{'ms':>8}{'of ' + BASE:>26}"]
    for name, rounds in times.items():
        shares = [own / base for own, base in zip(rounds, times[BASE], strict=True)]
        low, middle, high = quantiles(shares, n=4)
        lines.append(f"{name:45}{median(rounds):8.1f}{f'{middle:.2f} ({low:.2f}-{high:.2f})':>26}")
    return "\n".join(lines)


def main():
    """Measure, and publish."""
    with tempfile.TemporaryDirectory() as directory:
        dsn = embedded.dsn(directory, "models")
        connection = psycopg2.connect(dsn)
        connection.autocommit = True
        connection.cursor().execute(TABLE)
        connection.close()
        publish("models", report(compare(dsn)))


if __name__ == "__main__":
    main()
