"""The tutorial works: it is typed from top to bottom, every file and every command."""

import json
import os
import re
import shlex
import shutil
import signal
import sys
import textwrap
from pathlib import Path

import pytest
from pages import blocks, shape, typed
from projects import PASTER, Visitor, answers, change, python, run, start
from psycopg2.extensions import parse_dsn
from support import PATIENCE, free_port, until

pytestmark = pytest.mark.slow(seconds=10)

PROGRAMS = Path(sys.executable).parent


class Reader:
    """Someone who types what the page says, in a terminal of their own."""

    def __init__(self, folder, port, environment):
        self.cwd = folder
        self.port = port
        self.server = None
        path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, **environment}
        self.printed = ""

    def type(self, kind, caption, body):
        if kind == "console":
            for command in typed(body):
                self.run(command, fails=caption == "this fails")
        elif kind == "text":
            assert re.search(shape(body), self.printed), self.printed
        else:
            self.write(caption, body)

    def run(self, command, fails=False):
        words = shlex.split(command)
        script = shutil.which(words[0], path=str(PROGRAMS))
        if words[0] == "cd":
            self.cwd = self.cwd / words[1]
        elif words[:2] == ["paster", "serve"]:
            self.serve(words)
        elif words[:2] != ["pip", "install"]:
            if script:
                done = python(script, *words[1:], cwd=self.cwd, env=self.environment)
            else:
                done = run(*words, cwd=self.cwd, env=self.environment)
            assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}{done.stderr}"
            self.printed = done.stderr if fails else done.stdout

    def write(self, caption, body):
        name, _, where = caption.partition(", ")
        file = self.cwd / name
        if not where:
            file.parent.mkdir(exist_ok=True)
            file.write_text(body)
            return
        text = file.read_text()
        if where == "at the end":
            file.write_text(text + "\n\n" + body)
            return
        how, place = re.fullmatch(r'(above|below|in place of) "?(.*?)"?', where).groups()
        if how == "in place of" and name.endswith(".sql"):
            file.write_text(replaced(text, place, body))
            return
        (line,) = [line for line in text.splitlines() if line.strip().startswith(place)]
        new = textwrap.indent(body.rstrip(), line[: -len(line.lstrip())])
        lines = {"above": f"{new}\n{line}", "below": f"{line}\n{new}", "in place of": new}
        file.write_text(text.replace(line, lines[how]))

    def serve(self, words):
        self.stop()
        change(self.cwd / words[-1], "port", str(self.port))
        command = [PASTER, *words[1:]]
        with (self.cwd / "serve.log").open("w") as log, open(os.devnull) as nothing:
            self.server = start(
                *command, cwd=self.cwd, input=nothing, output=log, env=self.environment
            )
        until(lambda: answers(self.address) or self.server.poll() is not None)
        assert self.server.poll() is None, (self.cwd / "serve.log").read_text()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGINT)
            self.server.wait(PATIENCE)
            self.server = None


def test_the_wiki_can_be_built_searched_for_a_leak_and_deployed_and_then_its_tables_change(
    tmp_path, server, dsn
):
    where = parse_dsn(server.admin_dsn)
    environment = {"PGHOST": where["host"], "PGPORT": where["port"], "PGUSER": where["user"]}
    reader = Reader(tmp_path, free_port(), environment)
    try:
        build_and_deploy(reader, parse_dsn(dsn)["dbname"])
        change_tables(reader)
    finally:
        reader.stop()


def build_and_deploy(reader, database):
    """Type the first tutorial, whose production uses the database."""
    for number, step in enumerate(blocks("docs/tutorial.rst")):
        body = textwrap.dedent(step.text)
        if step.caption.startswith("production.ini"):
            body = body.replace("dbname=wiki", f"dbname={database}")
        if "paster connections" in body:
            reader.serve(["paster", "serve", "development.ini"])
            visit(reader)
            until(lambda: hold_of(reader, "page counter") > 1)
        reader.type(step.language, step.caption, body)
        if "pytest -q" in body:
            assert " passed" in reader.printed
        if number == 0:
            assert "Wiki is running" in Visitor(reader.address).get("/")
    visit(reader)
    visitor = Visitor(reader.address)
    visitor.get("/_connections")
    assert visitor.status == 404


def change_tables(reader):
    """Type the second tutorial, which goes on from there; no page is lost."""
    for step in blocks("docs/tutorial_schema.rst"):
        reader.type(step.language, step.caption, textwrap.dedent(step.text))
        if step.text.startswith("$ paster setup-app") and "fails" not in step.caption:
            # The page that was written before the first change is still there.
            reader.serve(["paster", "serve", "development.ini"])
            page = Visitor(reader.address).get("/page/WikiPage")
            assert "Hello, &lt;b&gt;" in page
    assert " passed" in reader.printed
    visitor = Visitor(reader.address)
    form = visitor.get("/page/WikiPage/edit")
    seen = re.search(r'name="seen" value="(\d+)"', form)[1]
    remark = {"body": "New", "seen": seen, "remark": "why not"}
    assert "why not" in visitor.post("/page/WikiPage/edit", **remark, **visitor.token())


def replaced(text, function, body):
    """A file of functions with another text of one, its comment included."""
    pattern = rf"-- [^\n]*\nCREATE OR REPLACE FUNCTION {function}\(.*?\n\$\$;\n"
    new, times = re.subn(pattern, lambda _: body, text, flags=re.DOTALL)
    assert times == 1, function
    return new


def hold_of(reader, thread):
    """For how many seconds a thread has held a connection."""
    shown = json.loads(Visitor(reader.address).get("/_connections.json"))
    return max([0, *(one["age"] for one in shown["connections"] if one["thread"] == thread)])


def visit(reader):
    """Write a page, and read it."""
    visitor = Visitor(reader.address)
    form = visitor.get("/page/WikiPage/edit")
    assert visitor.status == 200, form
    seen = re.search(r'name="seen" value="(\d+)"', form)[1]
    visitor.post("/page/WikiPage/edit", body="Hello, <b>", seen=seen, **visitor.token())
    assert "Hello, &lt;b&gt;" in visitor.text
