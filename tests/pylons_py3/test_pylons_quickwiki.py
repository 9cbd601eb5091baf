"""An application that others wrote, moved to Python 3: QuickWiki 0.1.6, of Pylons' own tutorial.

It was written for Pylons 0.9.7 and is fetched from PyPI. The changes below are those that its
own code needs, for Python 3 and for today's releases of what it uses; Pylons needs none.
"""

import shutil
from pathlib import Path

import pytest
from moved import TEST, Change, environ, load, move, of_error_controller, set_up
from projects import python

pytestmark = pytest.mark.process

CHANGES = [
    Change("A pin of 2005.", "setup.py", "docutils==0.4", "docutils"),
    *of_error_controller("quickwiki"),
    Change(
        "cgi.escape was removed in Python 3.8.",
        "quickwiki/controllers/pages.py",
        "from cgi import",
        "from html import",
    ),
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
def quickwiki(tmp_path_factory) -> Path:
    """The folder of the application, moved to Python 3 and set up."""
    folder = tmp_path_factory.mktemp("quickwiki")
    folder = move("QuickWiki-0.1.6", "quickwiki", CHANGES, folder)
    set_up(folder)
    return folder


def test_its_own_tests_pass(quickwiki):
    shutil.copy(quickwiki / "production.ini", quickwiki / "test.ini")
    # It sets itself up once more for its tests.
    (quickwiki / "quickwiki.db").unlink()
    done = python("-m", *TEST.split(), "quickwiki", cwd=quickwiki, env=environ(quickwiki))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_is_written_shown_listed_and_deleted(quickwiki, monkeypatch):
    app = load(quickwiki, monkeypatch)
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
