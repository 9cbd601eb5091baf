"""What an editor knows of the model: mypy and pyright are quiet about what is right, and find the rest."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import change, paster, set_up
from support import PATIENCE

pytestmark = pytest.mark.slow

SCHEMA = """
CREATE DOMAIN filled AS text NOT NULL CHECK (VALUE <> '');
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE entry (id int NOT NULL, title text NOT NULL, written timestamptz, price numeric);
CREATE TYPE place AS (city text, height int);
CREATE FUNCTION entry_add(title filled, body text DEFAULT '', tags text[] DEFAULT '{}') RETURNS entry
LANGUAGE sql AS $$ SELECT 1, title::text, now(), 1.5 $$;
CREATE FUNCTION entries(how_many int) RETURNS SETOF entry LANGUAGE sql AS $$ SELECT * FROM entry $$;
CREATE FUNCTION entry_get(id int) RETURNS entry LANGUAGE sql AS $$ SELECT * FROM entry $$;
CREATE FUNCTION entry_rename(id int, title text) RETURNS entry LANGUAGE sql AS $$ SELECT * FROM entry $$;
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

from simpycity.core import Function, FunctionSingle, FunctionTypedSingle, Property, QuerySingle, Raw
from simpycity.model import SimpleModel

log = logging.getLogger(__name__)
LIMIT = 3
NAMES = ["a"]
add = FunctionSingle("entry_add", ["title", "body", "tags"])
notes = Function("entries", ["how_many"])
counted = FunctionTypedSingle("counted")
ids = FunctionSingle("ids")
by_id = QuerySingle("entry", ["id"])
long = Raw(
    "SELECT e.id, e.title, n.body, count(*) FROM entry e LEFT JOIN note n ON n.id = e.id"
    " WHERE e.title > %s AND e.written < %s GROUP BY 1, 2, 3",
    ["title", "before"],
)
short = Raw("SELECT id, title, 100 AS percent FROM entry WHERE id IN %s", ["ids"])
joined = FunctionTypedSingle("joined", ["separator", "parts"], variadic=True)
wrong = FunctionSingle("frob", ["a"])


class Note(SimpleModel):
    """A note."""

    table = ["id", "title", "written"]
    __load__ = FunctionSingle("entry_get", ["id"])
    rename = FunctionSingle("entry_rename", ["id", "title"])
    how_many = Property("counted")

    def age(self, today: date, unit="days"):
        return 1


as_models = Function("entries", ["how_many"], callback=Note)
as_lengths = Function("entries", ["how_many"], callback=len)


def newest(limit: int = LIMIT) -> list[str]:
    return [row["title"] for row in notes(limit)]
'''
RIGHT = """
import datetime
import uuid
from decimal import Decimal

from helloworld.model import typed as model
from helloworld.model.typed import Note, add, as_lengths, as_models, by_id, counted, ids, joined
from helloworld.model.typed import long, notes, short

from simpycity_template import get_manager

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
for found_long in long("a", datetime.datetime.now()):
    body: str | None = found_long["body"]
    times: int | None = found_long[3]
for found_short in short((1, 2)):
    title = found_short["title"]
joined(",", "a", "b")
note = Note(1)
title = note.title
note.rename(title="b")
title = as_models(3).fetchall()[0].title
number = as_lengths(3).fetchall()[0]
count = note.how_many
model.newest(3)
limit: int = model.LIMIT
note.age(datetime.date.today())
add("a", options={"handle": None})

@get_manager("typed").scope("job")
def job(how_many: int, name: str = "") -> list[str]:
    return [name] * how_many

titles: list[str] = job(3, name="a")
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
as_models(3).fetchall()[0].titel
number = note.title
note.rename(name="b")
joined(1)
by_id("a")
long("a", 3)
found_long["boddy"]
title = found_long["body"]
number = found_short["title"]
short()
model.nowest(3)
model.newest("three")
job("three")
job(3, title="a")
job(3).upper()
""".strip().splitlines()


@pytest.fixture(scope="module")
def checked(made, server, tmp_path_factory):
    """A generated project with a typed model, a file that uses it rightly, and one with a mistake a line."""
    project = Path(shutil.copytree(made, tmp_path_factory.mktemp("typed") / "HelloWorld"))
    change(project / "development.ini", "simpycity.dsn", server.create_database())
    with (project / "helloworld/model/schema.sql").open("a") as file:
        file.write(SCHEMA)
    (project / "helloworld/model/typed.py").write_text(MODEL)
    (project / "right.py").write_text(RIGHT)
    (project / "mistakes.py").write_text(
        RIGHT + "\n".join(["places = found['places'] or []", *MISTAKES])
    )
    # As pyright itself has it.
    (project / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    set_up(project)
    done = paster("functions", "--stubs", "development.ini", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    return project


FILES = ["right.py", "mistakes.py", "helloworld"]


def mypy(folder):
    """The errors, each as file, line and message; and all that was printed."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", *FILES],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert re.search(r"checked \d\d source files", done.stdout), done.stdout + done.stderr
    return re.findall(r"(?m)^(.+?):(\d+): error: (.+)$", done.stdout), done.stdout


def pyright(folder):
    """The errors, each as file, line and message; and all that was printed."""
    program = Path(sys.executable).with_name("basedpyright")
    done = subprocess.run(
        [program, "--pythonpath", sys.executable, "--outputjson", *FILES],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] > len(FILES), done.stdout
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

    def of(part):
        """The lines with errors of a file, or of the files of a folder."""
        print(output)
        return {
            (checked / name).read_text().splitlines()[int(number) - 1]
            for name, number, _ in found
            if part in (name, name.partition(os.sep)[0])
        }

    return of


def test_nothing_is_said_of_what_is_right(errors):
    assert errors("right.py") == set()


def test_nothing_is_said_of_a_generated_project_and_its_stubs(errors):
    assert errors("helloworld") == set()


def test_each_of_the_mistakes_is_found(errors):
    assert errors("mistakes.py") == set(MISTAKES)
    assert len(MISTAKES) >= 20
