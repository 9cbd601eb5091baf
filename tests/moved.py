"""Moves an application that others wrote to Python 3, as docs/moving.rst has one type it."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from pages import blocks, typed
from paste.deploy import loadapp
from projects import paster, python
from sdist import unpack
from webtest import TestApp

# What the page has one type. First it installs; here the folder is put on the path. At last it
# serves, as README.txt does.
[*_, DESCRIBE], [LOOK, TRANSLATE, COMPILE], [TEST, _] = (
    typed(block.text) for block in blocks("docs/moving.rst", "console")
)


class Change(NamedTuple):
    """What the person who moves the application changes by hand; where `old` is empty, the whole file."""

    why: str
    file: str
    old: str
    new: str


def of_error_controller(package: str) -> list[Change]:
    """What is to change in the error controller of each project."""
    file = f"{package}/controllers/error.py"
    return [
        Change(
            "cgi.escape was removed in Python 3.8.", file, "import cgi", "from html import escape"
        ),
        Change("cgi.escape was removed in Python 3.8.", file, "cgi.escape(", "escape("),
        Change("A body is bytes.", file, "(resp.body)", "(resp.text)"),
    ]


def move(application: str, package: str, changes: list[Change], folder: Path) -> Path:
    """Fetch an application, move it, and make its ``production.ini``.

    Arguments:
        application: its name and version, as PyPI has them: ``"QuickWiki-0.1.6"``.
        package: the name of its package.
        changes: what is changed by hand; `paster moving` names each of these files.
        folder: where it is unpacked.

    Returns:
        The folder of its ``setup.py``.
    """
    name, _, version = application.rpartition("-")
    folder = unpack(name, version, folder)
    listed = _run(LOOK, package, folder)
    assert listed.returncode == 1, listed.stderr
    for change in changes:
        assert f"    {change.file}:" in listed.stdout, change
        path = folder / change.file
        text = path.read_text(encoding="utf-8")
        assert change.old in text, change
        new = text.replace(change.old, change.new) if change.old else change.new
        path.write_text(new, encoding="utf-8")
    # It lists again what may be right now.
    assert _run(TRANSLATE, package, folder).returncode in (0, 1)
    for command in (COMPILE, DESCRIBE, f"paster make-config {name} production.ini"):
        done = _run(command, package, folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _run(command: str, package: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the page in the folder of the application."""
    program, *arguments = command.replace("yourpackage", package).split()
    return {"python": python, "paster": paster}[program](
        *arguments, cwd=folder, env=environ(folder)
    )


def set_up(folder: Path, section: str = "") -> None:
    """Run ``paster setup-app``, for the application of a section of ``production.ini``."""
    done = _run(f"paster setup-app production.ini{section}", "", folder)
    assert done.returncode == 0, done.stdout + done.stderr


def environ(folder: Path) -> dict[str, str]:
    """Let a process find the application, as an installed one."""
    return {**os.environ, "PYTHONPATH": str(folder)}


def load(folder: Path, monkeypatch) -> TestApp:
    """Load the application into this process."""
    import pkg_resources

    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    pkg_resources.working_set.add_entry(str(folder))
    return TestApp(loadapp("config:production.ini", relative_to=str(folder)))
