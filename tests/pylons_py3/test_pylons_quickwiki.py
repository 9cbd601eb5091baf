"""An application that others wrote, moved to Python 3: QuickWiki 0.1.6, of Pylons' own tutorial.

It was written for Pylons 0.9.7 and is fetched from PyPI. The changes below are those that its
own code needs, for Python 3 and for today's releases of what it uses; Pylons needs none.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from pages import blocks, typed
from sdist import unpack
from webtest import TestApp

pytestmark = pytest.mark.process

# What the page has one type. First it installs; here the folder is put on the path. At last it
# serves, as README.txt does.
[*_, DESCRIBE], [LOOK, TRANSLATE, COMPILE], [TEST, _] = (
    typed(block.text) for block in blocks("docs/moving.rst", "console")
)

PASTER = os.path.join(os.path.dirname(sys.executable), "paster")


class Change(NamedTuple):
    """A line that the person who moves the application changes."""

    why: str
    file: str
    old: str
    new: str


CHANGES = [
    Change("A pin of 2005.", "setup.py", "docutils==0.4", "docutils"),
    *(
        Change("cgi.escape was removed in Python 3.8.", file, old, new)
        for file, old, new in (
            ("quickwiki/controllers/pages.py", "from cgi import", "from html import"),
            ("quickwiki/controllers/error.py", "import cgi", "from html import escape"),
            ("quickwiki/controllers/error.py", "cgi.escape(", "escape("),
        )
    ),
    Change("A body is bytes.", "quickwiki/controllers/error.py", "(resp.body)", "(resp.text)"),
    Change("The module is gone.", "quickwiki/model/__init__.py", "import sets\n", ""),
    Change("The module is gone.", "quickwiki/model/__init__.py", "sets.Set(", "set("),
    Change(
        "SQLAlchemy 2 maps a class in another way.",
        "quickwiki/model/__init__.py",
        "orm.mapper(",
        "orm.registry().map_imperatively(",
    ),
    *(
        Change("Pylons 1.0 has no redirect_to.", "quickwiki/controllers/pages.py", old, new)
        for old, new in (
            ("abort, redirect_to", "abort, redirect"),
            ("from pylons import request,", "from pylons import url, request,"),
            ("redirect_to('show_page', title=title)", "redirect(url('show_page', title=title))"),
            ("redirect_to('pages')", "redirect(url('pages'))"),
        )
    ),
    Change(
        "Pylons 1.0 is strict about the template's context unless it is told otherwise.",
        "quickwiki/config/environment.py",
        "    # Setup the SQLAlchemy",
        "    config['pylons.strict_tmpl_context'] = False\n"
        "    config['pylons.tmpl_context_attach_args'] = True\n"
        "    # Setup the SQLAlchemy",
    ),
    Change(
        "Pylons 1.0's tests ask the application for its configuration.",
        "quickwiki/config/middleware.py",
        "    return app\n",
        "    app.config = config._current_obj()\n    return app\n",
    ),
]


@pytest.fixture(scope="module")
def quickwiki(pytestconfig, tmp_path_factory) -> Path:
    """The folder of the application, fetched once, moved to Python 3 and set up."""
    folder = unpack(pytestconfig, "QuickWiki", "0.1.6", tmp_path_factory.mktemp("quickwiki"))
    move_to_python3(folder)
    for command in (
        in_python(DESCRIBE),
        [PASTER, "make-config", "QuickWiki", "test.ini"],
        [PASTER, "setup-app", "test.ini"],
    ):
        subprocess.run(command, cwd=folder, check=True, env=environ(folder))
    return folder


def move_to_python3(folder: Path) -> None:
    """Do what its owner would: look, change the lines above, and translate the rest."""
    listed = subprocess.run(in_python(LOOK), cwd=folder, capture_output=True, text=True)
    assert listed.returncode == 1, listed.stderr
    for change in CHANGES:
        assert f"    {change.file}:" in listed.stdout, change
        path = folder / change.file
        text = path.read_text(encoding="utf-8")
        assert change.old in text, change
        path.write_text(text.replace(change.old, change.new), encoding="utf-8")
    # It lists again what may be right now.
    done = subprocess.run(in_python(TRANSLATE), cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    subprocess.run(in_python(COMPILE), cwd=folder, check=True, capture_output=True)


def in_python(command: str) -> list[str]:
    """A command of the page, for this interpreter."""
    program, *arguments = command.replace("yourpackage", "quickwiki").split()
    return [{"python": sys.executable, "paster": PASTER}[program], *arguments]


def environ(folder: Path) -> dict[str, str]:
    """Let a process find the application, as an installed one."""
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_its_own_tests_pass(quickwiki):
    run = [sys.executable, "-m", *TEST.split(), "quickwiki"]
    # It sets itself up once more for its tests.
    (quickwiki / "quickwiki.db").unlink()
    subprocess.run(run, cwd=quickwiki, check=True, env=environ(quickwiki))


def test_a_page_is_written_shown_listed_and_deleted(quickwiki, monkeypatch):
    import pkg_resources
    from paste.deploy import loadapp

    monkeypatch.syspath_prepend(str(quickwiki))
    pkg_resources.working_set.add_entry(str(quickwiki))
    app = TestApp(loadapp("config:test.ini", relative_to=str(quickwiki)))
    assert "front page!" in app.get("/")
    form = app.get("/NewPage").click("Create the page").form
    form["content"] = "*Hello*, see FrontPage"
    saved = form.submit("commit").follow()
    assert "Successfully saved NewPage!" in saved
    assert "<em>Hello</em>" in saved
    assert "front page!" in saved.click("FrontPage", index=0)
    form = app.get("/pages").form
    for box in form.fields["title"]:
        box.checked = box._value == "NewPage"
    assert "Deleted NewPage." in form.submit("delete").follow()
