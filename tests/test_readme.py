"""The way by hand, as README.txt tells it, typed into a shell in a fresh copy of the checkout."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from docutils import nodes
from pages import PAGES, ROOT, blocks, tree, typed
from projects import Visitor, answers, change, free_port, wait_until


def shell(commands: list[str], cwd: Path, answered: str = "") -> None:
    """Type commands into one shell, as in a login of its own."""
    home = {name: value for name, value in os.environ.items() if not name.startswith("VIRTUAL")}
    done = subprocess.run(
        ["bash", "-ec", "\n".join(commands)],
        cwd=cwd,
        env=home,
        input=answered,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_the_way_by_hand(tmp_path):
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "_build")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    by_hand, with_answers, sizing = (typed(block.text) for block in blocks("README.txt", "console"))
    *before, serve = by_hand
    assert serve == "paster serve --reload development.ini"

    shell(before, checkout, answered="\n" * 3)
    project = checkout / "HelloWorld"
    port = free_port()
    change(project / "development.ini", "port", str(port))
    server = subprocess.Popen(
        ["bash", "-c", f"cd .. && . venv/bin/activate && cd HelloWorld && exec {serve}"],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(address) or server.poll() is not None)
        visitor = Visitor(address)
        assert "HelloWorld is running" in visitor.get("/")
        assert visitor.get("/notes") and visitor.status == 200
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(30)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shell([f". {checkout}/venv/bin/activate", *with_answers, *sizing], elsewhere)
    package = elsewhere / "HelloWorld" / "helloworld"
    assert (package / "templates" / "base.jinja2").exists()
    assert not (package / "model" / "notes.py").exists()
