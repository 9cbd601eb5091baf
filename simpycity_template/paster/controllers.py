"""What ``paster controller`` and ``paster restcontroller`` write in a project that has a manager."""

import re
import sys
from pathlib import Path
from typing import Any

import tempita

from simpycity_template.manager import Manager

CONTROLLER = '''"""GET /{{fname}}/index."""

from {{package}}.lib.base import BaseController


class {{name}}Controller(BaseController):
    def index(self):
        """Say hello; `return render("/{{tmpl_name}}")`, with render of lib.base, shows a page."""
        return "Hello World"
'''

TEST_CONTROLLER = '''"""Tests of controllers/{{fname}}.py."""

from {{package}}.tests import TestController, url


class Test{{name}}Controller(TestController):
    def test_index_says_hello(self):
        page = self.app.get(url(controller="{{fname}}", action="index"))
        page.mustcontain("Hello World")
'''

REST_CONTROLLER = '''"""What can be done with {{pluralname}}; config/routing.py has a map.resource() of them."""

from pylons.controllers.util import abort

from {{package}}.lib.base import BaseController


class {{name}}Controller(BaseController):
    def index(self, format="html"):
        """GET /{{path}}{{pluralname}}: all of them."""
        return "All {{pluralname}}"

    def new(self, format="html"):
        """GET /{{path}}{{pluralname}}/new: a form for one more."""
        return "A new {{singularname}}"

    def create(self):
        """POST /{{path}}{{pluralname}}: add one."""
        abort(501, "create() is not written yet.")

    def show(self, id, format="html"):
        """GET /{{path}}{{pluralname}}/ID: one of them."""
        return "One {{singularname}}"

    def edit(self, id, format="html"):
        """GET /{{path}}{{pluralname}}/ID/edit: a form to change one."""
        return "Change one {{singularname}}"

    def update(self, id):
        """PUT /{{path}}{{pluralname}}/ID, or POST with _method=PUT: change one."""
        abort(501, "update() is not written yet.")

    def delete(self, id):
        """DELETE /{{path}}{{pluralname}}/ID, or POST with _method=DELETE: delete one."""
        abort(501, "delete() is not written yet.")
'''

TEST_REST_CONTROLLER = '''"""Tests of controllers/{{fname}}.py."""

from {{package}}.tests import TestController, url


class Test{{name}}Controller(TestController):
    def test_index_shows_all(self):
        self.app.get(url("{{nameprefix}}{{pluralname}}")).mustcontain("All {{pluralname}}")

    def test_new_shows_a_form(self):
        self.app.get(url("{{nameprefix}}new_{{singularname}}")).mustcontain("A new {{singularname}}")

    def test_show_shows_one(self):
        self.app.get(url("{{nameprefix}}{{singularname}}", id=1)).mustcontain("One {{singularname}}")

    def test_edit_shows_a_form(self):
        page = self.app.get(url("{{nameprefix}}edit_{{singularname}}", id=1))
        page.mustcontain("Change one {{singularname}}")

    def test_what_writes_is_not_written_yet(self):
        one = url("{{nameprefix}}{{singularname}}", id=1)
        self.app.post(url("{{nameprefix}}{{pluralname}}"), status=501)
        self.app.put(one, status=501)
        self.app.delete(one, status=501)
        self.app.post(one, {"_method": "PUT"}, status=501)
'''

FILES = {
    "controller.py_tmpl": CONTROLLER,
    "test_controller.py_tmpl": TEST_CONTROLLER,
    "restcontroller.py_tmpl": REST_CONTROLLER,
    "test_restcontroller.py_tmpl": TEST_REST_CONTROLLER,
}

_MARKER = re.compile(r"(?m)^( *)# Your own routes go here\.\n")


def content(template: str, vars: dict[str, Any]) -> str | None:
    """A file of a controller; None where the project is not one with a manager.

    Arguments:
        template: the name of Pylons' own template.
        vars: what Pylons' commands know: ``package``, ``name``, ``fname`` and more.
    """
    if not _has_manager(vars["package"]):
        return None
    filled: str = tempita.Template(FILES[template]).substitute(vars)
    return filled


def address(package: str, name: str) -> str | None:
    """Where a new controller answers; None where the project is not one with a manager.

    Arguments:
        package: of the project.
        name: of the controller, as in ``admin/users``.
    """
    if not _has_manager(package):
        return None
    return (
        f"It answers at /{name}/index. For an address of its own add to {package}/config/routing.py:\n"
        f'    map.connect("/{name}", controller="{name}", action="index")'
    )


def route(package: str, folder: str, call: str) -> str | None:
    """Add a route to config/routing.py; None where the project is not one with a manager.

    Arguments:
        package: of the project.
        folder: of the package.
        call: the route, as in ``map.resource("entry", "entries")``.

    Returns:
        what to tell the user: the line that was added, or that is to be added.
    """
    if not _has_manager(package):
        return None
    # As a comment, it may go on in the next line.
    call = " ".join(call.replace("#", "").split()).replace("'", '"')
    file = Path(folder, "config", "routing.py")
    text = file.read_text(encoding="utf-8")
    if call in text:
        return f"{file} has the route already: {call}"
    changed = _MARKER.sub(lambda found: f"{found[0]}{found[1]}{call}\n", text, count=1)
    if changed == text:
        return f"Add the route to {file}, before those that lead anywhere:\n    {call}"
    file.write_text(changed, encoding="utf-8")
    return f"Added to {file}:\n    {call}"


def _has_manager(package: str) -> bool:
    """Whether it is a project of this package's template, of which Pylons has loaded lib.base."""
    return isinstance(getattr(sys.modules.get(f"{package}.lib.base"), "manager", None), Manager)
