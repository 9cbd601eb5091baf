"""What an editor knows of the model: mypy and pyright are quiet about what is right, and find the rest."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from support import PATIENCE

from simpycity_template.functions.catalogue import Catalogue
from simpycity_template.functions.stubs import stub
from simpycity_template.simpycity_patches.declarations import all_declared

pytestmark = pytest.mark.slow

SCHEMA = """
CREATE DOMAIN filled AS text NOT NULL CHECK (VALUE <> '');
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE note (id int NOT NULL, title text NOT NULL, written timestamptz, price numeric);
CREATE TYPE place AS (city text, height int);
CREATE FUNCTION note_add(title filled, body text DEFAULT '', tags text[] DEFAULT '{}') RETURNS note
LANGUAGE sql AS $$ SELECT 1, title::text, now(), 1.5 $$;
CREATE FUNCTION notes(how_many int) RETURNS SETOF note LANGUAGE sql AS $$ SELECT * FROM note $$;
CREATE FUNCTION note_get(id int) RETURNS note LANGUAGE sql AS $$ SELECT * FROM note $$;
CREATE FUNCTION note_rename(id int, title text) RETURNS note LANGUAGE sql AS $$ SELECT * FROM note $$;
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION ids(OUT uid uuid, OUT mood mood, OUT doc jsonb, OUT places place[], OUT since date)
LANGUAGE sql AS $$ SELECT null::uuid, null::mood, null::jsonb, null::place[], null::date $$;
CREATE FUNCTION joined(separator text, VARIADIC parts text[]) RETURNS text
LANGUAGE sql AS $$ SELECT '' $$;
"""
MODEL = '''
"""The model."""

from __future__ import annotations

import logging
from datetime import date

from simpycity.core import Function, FunctionSingle, FunctionTypedSingle, Property, QuerySingle
from simpycity.model import SimpleModel

log = logging.getLogger(__name__)
LIMIT = 3
NAMES = ["a"]
add = FunctionSingle("note_add", ["title", "body", "tags"])
notes = Function("notes", ["how_many"])
counted = FunctionTypedSingle("counted")
ids = FunctionSingle("ids")
by_id = QuerySingle("note", ["id"])
joined = FunctionTypedSingle("joined", ["separator", "parts"], variadic=True)
wrong = FunctionSingle("frob", ["a"])


class Note(SimpleModel):
    """A note."""

    table = ["id", "title", "written"]
    __load__ = FunctionSingle("note_get", ["id"])
    rename = FunctionSingle("note_rename", ["id", "title"])
    how_many = Property("counted")

    def age(self, today: date, unit="days"):
        return 1


def newest(limit: int = LIMIT) -> list[str]:
    return [row["title"] for row in notes(limit)]
'''
RIGHT = """
import datetime
import uuid
from decimal import Decimal

from typed import model
from typed.model import Note, add, by_id, counted, ids, joined, notes

row = add("a")
add("a", "b", ["x"])
add(title="a", tags=None)
number: int = row["id"]
title: str = row["title"]
written: datetime.datetime | None = row["written"]
price: Decimal | None = row[3]
as_dict = dict(row)
for one in notes(3):
    number = one["id"]
rows = notes(3).fetchall()
title = rows[0]["title"]
first = notes(None).fetchone()
if first is not None:
    number = first[0]
count: int | None = counted()
found = ids()
uid: uuid.UUID | None = found["uid"]
mood: str | None = found["mood"]
places = found["places"]
if places:
    city: str | None = places[0].city
title = by_id(3)["title"]
joined(",", "a", "b")
note = Note(1)
title = note.title
note.rename(title="b")
count = note.how_many
model.newest(3)
limit: int = model.LIMIT
note.age(datetime.date.today())
add("a", options={"handle": None})
"""
MISTAKES = """
row["tiltle"]
title = row["id"]
row[9]
add()
add(1)
add(None)
add("a", size=2)
add("a", "b", "c", "d", "e")
add("a", tags=[1])
notes("three")
notes()
notes(3)["title"]
notes(3).fetchall()[0]["tiltle"]
first["title"]
number = counted()
uid = found["since"]
places[0].town
note.titel
number = note.title
note.rename(name="b")
joined(1)
by_id("a")
model.nowest(3)
model.newest("three")
""".strip().splitlines()


@pytest.fixture(scope="module")
def checked(create_database, tmp_path_factory):
    """A folder with a typed package, a file that uses it rightly, and one with a mistake a line."""
    folder = tmp_path_factory.mktemp("typed")
    package = folder / "typed"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "py.typed").write_text("")
    (package / "model.py").write_text(MODEL)
    (folder / "right.py").write_text(RIGHT)
    (folder / "mistakes.py").write_text(
        RIGHT + "\n".join(["places = found['places'] or []", *MISTAKES])
    )
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    link = psycopg2.connect(create_database())
    with link, link.cursor() as cursor:
        cursor.execute(SCHEMA)
    sys.path.insert(0, str(folder))
    try:
        from typed import model

        names = [one.query_base for one in all_declared() if one.declared_at[0] == model.__file__]
        (package / "model.pyi").write_text(stub(model, link, Catalogue(link, names)))
    finally:
        sys.path.remove(str(folder))
        for name in ("typed", "typed.model"):
            sys.modules.pop(name, None)
        link.close()
    return folder


FILES = ["right.py", "mistakes.py", os.path.join("typed", "model.pyi")]


def mypy(folder):
    """The errors, each as file, line and message; and all that was printed."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", *FILES],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert re.search(rf"checked {len(FILES)} source files", done.stdout), done.stdout + done.stderr
    return re.findall(r"(?m)^(.+?):(\d+): error: (.+)$", done.stdout), done.stdout


def pyright(folder):
    """The errors, each as file, line and message; and all that was printed."""
    program = Path(sys.executable).with_name("basedpyright")
    done = subprocess.run(
        [program, "--pythonpath", sys.executable, "--outputjson", *FILES],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == len(FILES), done.stdout
    return [
        (
            os.path.relpath(one["file"], folder),
            one["range"]["start"]["line"] + 1,
            one["message"],
        )
        for one in told["generalDiagnostics"]
        if one["severity"] == "error"
    ], done.stdout


@pytest.fixture(scope="module", params=[mypy, pyright], ids=["mypy", "pyright"])
def errors(checked, request):
    """The lines of a file with errors, as a type checker says that has read all files in one run."""
    if request.param is pyright and not Path(sys.executable).with_name("basedpyright").exists():
        pytest.skip("needs PyPI's basedpyright")
    pytest.importorskip("mypy", reason="needs PyPI's mypy")
    found, output = request.param(checked)

    def of(file):
        print(output)
        lines = (checked / file).read_text().splitlines()
        return {lines[int(number) - 1] for name, number, _ in found if name == file}

    return of


def test_nothing_is_said_of_what_is_right(errors):
    assert errors("right.py") == set()


def test_the_stub_itself_is_right(errors):
    assert errors(os.path.join("typed", "model.pyi")) == set()


def test_each_of_the_mistakes_is_found(errors):
    assert errors("mistakes.py") == set(MISTAKES)
    assert len(MISTAKES) >= 20
