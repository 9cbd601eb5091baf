"""The how-to pages, followed by hand: their settings are set and their commands typed."""

import os
import re
import shlex
import signal
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest
from docutils import nodes
from packaging.requirements import Requirement
from pages import ROOT, blocks, shape, tree, typed
from projects import Visitor, change, create, paster, run, served, start
from simpycity.core import Raw
from support import PATIENCE, until

from simpycity_template import PoolTimeout, get_manager

pytestmark = [pytest.mark.process, pytest.mark.slow]

CONNECTIONS = "docs/connections.rst"
FRAMEWORKS = [f"docs/frameworks/{name}.rst" for name in ("celery", "django", "flask", "pyramid")]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return create(tmp_path_factory.mktemp("howto"), "HelloWorld", "example=False")


def shell(command, cwd):
    """Type a command; one that goes on until Ctrl-C gets that after its first line."""
    program, *arguments = shlex.split(command)
    script = str(Path(sys.executable).with_name(program))
    reading, writing = os.pipe()
    with open(reading) as screen, open(os.devnull) as nothing:
        with open(writing, "w") as output:
            process = start(script, *arguments, cwd=cwd, input=nothing, output=output)
        shown = ""
        if "--watch" in command:
            shown = screen.readline()
            os.kill(process.pid, signal.SIGINT)
        shown += screen.read()
    assert process.wait(PATIENCE) == 0, f"{command}\n{shown}"
    return shown


def test_the_page_on_connections_leads_to_their_holders(project):
    ini = project / "development.ini"
    (console,) = blocks(CONNECTIONS, "console")
    without = re.sub(
        r"(?m)^simpycity\.(tag_statements|status_page|log_lost_writes) = .*\n", "", ini.read_text()
    )
    settings = "".join(block.text for block in blocks(CONNECTIONS, "ini"))
    ini.write_text(without.replace("simpycity.dsn =", settings + "simpycity.dsn ="))
    assert paster("make-config", "HelloWorld", "production.ini", cwd=project).returncode == 0
    (dsn,) = re.findall(r"(?m)^simpycity\.dsn = (.*)", ini.read_text())
    change(project / "production.ini", "simpycity.dsn", dsn)
    with served(project) as address:
        visitor = Visitor(address)
        visitor.get("/")
        assert "Connections of" in visitor.get("/_connections")
        said = [shell(command, project) for command in typed(console.text)]
    assert all("idle" in shown for shown in said)


def test_the_tests_of_a_project_are_run_as_the_page_says(project):
    (console,) = blocks("docs/testing.rst", "console")
    install, run = typed(console.text)
    assert is_installed(install)
    assert " passed" in shell(run, project)


@pytest.mark.parametrize("page", ["docs/monitoring.rst", *FRAMEWORKS])
def test_what_a_page_installs_is_an_extra_of_ours(page):
    commands = [command for one in blocks(page, "console") for command in typed(one.text)]
    installs = [command for command in commands if command.startswith("pip ")]
    assert installs and all(map(is_installed, installs))


def test_the_commands_in_the_readmes_table_run(project):
    (table, *_) = tree("README.txt").findall(nodes.table)
    commands = [
        command
        for entry in table.findall(nodes.literal)
        if (command := entry.astext()).startswith(("paster ", "pytest"))
    ]
    assert len(commands) == 7
    (project / "production.ini").unlink(missing_ok=True)
    for command in commands:
        shell(command, project)
    assert (project / "helloworld" / "controllers" / "pages.py").exists()


def test_what_make_is_asked_for_in_the_readme_it_has():
    (text,) = blocks("README.txt", "text")
    for command in text.text.splitlines():
        done = run(*shlex.split(command), "--dry-run", cwd=ROOT)
        assert done.returncode == 0 and done.stdout, done.stderr


def is_installed(command):
    """Whether ``pip install …`` names what is installed, with extras that it has."""
    assert command.startswith("pip install ")
    for word in command.removeprefix("pip install ").split():
        wanted = Requirement(word.strip('"'))
        extras = metadata.metadata(wanted.name).get_all("Provides-Extra", [])
        if not wanted.extras <= set(extras):
            return False
    return True


def test_an_exhausted_pool_is_told_as_the_page_shows(dsn):
    sales = Raw("SELECT * FROM sales(%s)", ["year"])
    go_on = threading.Event()

    def run():
        with manager.scope("report"):
            sales(2026)
            go_on.wait(PATIENCE)

    manager = get_manager("helloworld")
    manager.configure(
        {"simpycity.dsn": dsn, "simpycity.pool_size": 1, "simpycity.max_overflow": 0}
        | {"simpycity.pool_timeout": 0.1}
    )
    Raw("CREATE FUNCTION sales(int) RETURNS int LANGUAGE sql AS 'SELECT $1'")()
    manager.commit()
    manager.cleanup()
    holder = threading.Thread(target=run, name="nightly")
    holder.start()
    try:
        until(lambda: [entry for entry in manager.status() if entry.last_sql])
        with pytest.raises(PoolTimeout) as raised:
            manager.open()
    finally:
        go_on.set()
        holder.join(PATIENCE)
        manager.dispose()
    shown, _ = blocks(CONNECTIONS, "text")
    assert re.fullmatch(shape(shown.text), str(raised.value).strip())


def test_a_forgotten_commit_is_logged_as_the_page_shows(make_manager, caplog):
    manager = make_manager(log_lost_writes="true")
    with manager.transaction():
        manager.handle().execute("CREATE TABLE note (title text)")

    def create():
        manager.handle().execute("INSERT INTO note VALUES ('Milk')")

    with manager.scope("POST /notes"):
        create()
    _, shown = blocks(CONNECTIONS, "text")
    assert re.fullmatch(shape(shown.text), caplog.messages[-1])
