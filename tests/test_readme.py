"""The way by hand, as README.txt tells it, typed into a shell in a fresh copy of the checkout.

On the machine is Python, and nothing else: no compiler, and no pg_config.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import copy_checkout
from docutils import nodes
from pages import PAGES, blocks, tree, typed
from projects import Visitor, answers, change, run
from quick_venv import put_python
from support import PATIENCE, free_port, in_memory, processes_of, until

pytestmark = [pytest.mark.process, pytest.mark.slow(seconds=50)]

BY_HAND, WITH_ANSWERS, SIZING = (typed(block.text) for block in blocks("README.txt", "console"))
*BEFORE, SERVE = BY_HAND


class Machine:
    """One with Python on the PATH, and nothing else.

    Args:
        folder: where it may keep its programs.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        put_python(folder)
        ours = ("VIRTUAL", "CC")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.environment["PATH"] = str(folder)
        # Most of what is installed is never imported here.
        self.environment["PIP_COMPILE"] = "0"

    def shell(self, commands: list[str], cwd: Path, answered: str = "", **environment: str) -> None:
        """Type commands into one shell, as in a login of its own."""
        done = run(
            "/bin/bash", "-ec", "\n".join(commands),
            # What it installs may have to be fetched: only the test has a limit.
            cwd=cwd, env=self.environment | environment, input=answered, timeout=None,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="module")
def checkout(machine: Machine) -> Iterator[Path]:
    """A copy of the checkout in which all is typed that comes before the project is served."""
    # Not in tmp_path, whose parents each new run of pytest closes to others than root: the
    # embedded PostgreSQL is installed here, and is another's then.
    with tempfile.TemporaryDirectory(prefix="simpycity-readme-", dir=in_memory()) as folder:
        machine.environment["TMPDIR"] = folder
        copy = Path(folder, "checkout")
        copy_checkout(copy)
        machine.shell(BEFORE, copy, answered="\n" * 3)
        yield copy
        # An embedded server ends a moment after the last process that uses it.
        until(lambda: not processes_of(Path(folder)))


@pytest.fixture(scope="module")
def programs(checkout: Path) -> Path:
    """The folder of what is installed by hand."""
    return checkout / "venv" / "bin"


def test_what_the_table_of_places_says_stands_on_the_pages():
    pages = ["docs/deployment.rst", "docs/databases.rst"]
    pages += [page for page in PAGES if page.startswith("docs/frameworks/")]
    # Lines are broken elsewhere there.
    shown = "".join("".join(block.text.split()) for page in pages for block in blocks(page))
    sections = tree("README.txt").findall(nodes.section)
    (section,) = (section for section in sections if section["names"] == ["elsewhere"])
    (table,) = section.findall(nodes.table)
    for literal in table.findall(nodes.literal):
        written = "".join(literal.astext().split()).removesuffix("…]")
        assert written in shown, literal.astext()


@contextmanager
def running(command: str, cwd: Path, machine: Machine, port: int) -> Iterator[Visitor]:
    """Run a server while the block lasts."""
    address = f"http://127.0.0.1:{port}"
    log = cwd / "serve.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["/bin/bash", "-c", command],
            cwd=cwd, env=machine.environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: answers(address) or server.poll() is not None)
        assert server.poll() is None, log.read_text()
        yield Visitor(address)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGINT)
        server.wait(PATIENCE)


def test_the_way_by_hand_leads_to_a_project_that_runs(machine, checkout):
    assert SERVE == "paster serve --reload development.ini"
    project = checkout / "HelloWorld"
    port = free_port()
    change(project / "development.ini", "port", str(port))
    command = f"cd .. && . venv/bin/activate && cd HelloWorld && exec {SERVE}"
    with running(command, project, machine, port) as visitor:
        assert "HelloWorld is running" in visitor.get("/")
        assert visitor.get("/notes") and visitor.status == 200


def test_the_commands_with_answers_and_for_sizing_run(machine, programs, tmp_path):
    machine.shell([f". {programs}/activate", *WITH_ANSWERS, *SIZING], tmp_path)
    package = tmp_path / "HelloWorld" / "helloworld"
    assert (package / "templates" / "base.jinja2").exists()
    assert not (package / "model" / "notes.py").exists()


def test_without_a_compiler_psycopg2_is_there_all_the_same(programs, tmp_path):
    program = "import importlib.metadata as m, psycopg2; print(m.version('psycopg2'), psycopg2.__version__)"
    done = run(str(programs / "python"), "-c", program, cwd=tmp_path)
    version, itself = done.stdout.split(maxsplit=1)
    assert itself.startswith(version), done.stderr


def test_a_new_installation_has_a_paster_that_warns_of_nothing(programs, tmp_path):
    listed = run(str(programs / "paster"), "create", "--list-templates", cwd=tmp_path)
    assert listed.returncode == 0
    assert "simpycity:" in listed.stdout
    assert "arning" not in listed.stdout
    assert listed.stderr == ""


def test_a_new_installation_creates_the_project_that_the_checkout_creates(programs, tmp_path):
    written = []
    for number, bin in enumerate((programs, Path(sys.prefix, "bin"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        create = ("create", "-t", "simpycity", "--no-interactive", "HelloWorld")
        done = run(str(bin / "paster"), *create, cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        written.append({file for file in files if "__pycache__" not in file.parts})
    assert written[0] == written[1]


@pytest.fixture(scope="module")
def clone(checkout: Path) -> Path:
    """The project, as its version control has it; beside it lies the checkout."""
    project = checkout / "HelloWorld"
    ignored = [line.strip("/") for line in (project / ".gitignore").read_text().splitlines()]
    clone = checkout.parent / "clone" / "HelloWorld"
    shutil.copytree(project, clone, ignore=shutil.ignore_patterns(*ignored))
    (clone.parent / "simpycity_template").symlink_to(checkout)
    return clone


def test_a_clone_of_the_project_is_developed_as_its_own_readme_says(machine, clone, programs):
    install, run_it, *_ = blocks(str(clone / "README.txt"))
    set_up, serve = run_it.text.splitlines()
    assert serve == SERVE
    activate = f". {programs}/activate"
    try:
        machine.shell([activate, install.text, set_up, "paster controller pages"], clone)
    finally:
        machine.shell([activate, "pip uninstall --yes --quiet HelloWorld"], clone)
    assert (clone / "helloworld" / "controllers" / "pages.py").exists()


def test_the_project_is_deployed_as_its_own_readme_says(machine, clone, programs, dsn):
    build, install, start = (block.text for block in blocks(str(clone / "README.txt"))[-3:])
    # That each of the three can be built where there is no setuptools, their installation has shown.
    # pip takes a 0 for the end of what its option switches off.
    machine.shell([f". {programs}/activate", build], clone, PIP_NO_BUILD_ISOLATION="0")
    elsewhere = clone.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.move(clone / "wheels", elsewhere)

    there = Machine(elsewhere / "bin")
    there.environment |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    there.shell([install], elsewhere)
    configure, set_up, serve = start.splitlines()
    activate = ". venv/bin/activate"
    there.shell([activate, configure], elsewhere)
    port = free_port()
    change(elsewhere / "production.ini", "simpycity.dsn", dsn)
    change(elsewhere / "production.ini", "port", str(port))
    there.shell([activate, set_up], elsewhere)
    with running(f"{activate} && exec {serve}", elsewhere, there, port) as visitor:
        assert "HelloWorld is running" in visitor.get("/")
        visitor.get("/notes")
        visitor.post("/notes", title="Elsewhere", **visitor.token())
        assert "<h2>Elsewhere</h2>" in visitor.text
