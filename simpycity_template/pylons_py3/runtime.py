"""What corrected lines call; they know it as ``_py3``."""

import code
import os
import sys
from types import SimpleNamespace

from markupsafe import Markup, escape_silent
from tempita import paste_script_template_renderer

from simpycity_template.pylons_py3 import literal_re as literal_re
from simpycity_template.pylons_py3.accepted import AcceptedTypes as AcceptedTypes
from simpycity_template.pylons_py3.accepted import first_match as first_match
from simpycity_template.pylons_py3.accepted import languages as languages
from simpycity_template.pylons_py3.bodies import encoded as encoded
from simpycity_template.pylons_py3.bodies import replacing as replacing
from simpycity_template.pylons_py3.bodies import with_body as with_body
from simpycity_template.pylons_py3.corrections import correct
from simpycity_template.pylons_py3.debug_setting import shows_debugger as shows_debugger
from simpycity_template.pylons_py3.plugins import plugin
from simpycity_template.pylons_py3.responses import redirection as redirection
from simpycity_template.pylons_py3.responses import taking_text as taking_text
from simpycity_template.pylons_py3.translators import NullTranslations as NullTranslations
from simpycity_template.pylons_py3.translators import Translations as Translations
from simpycity_template.pylons_py3.written_html import for_unescape as for_unescape
from simpycity_template.pylons_py3.written_html import in_comment as in_comment
from simpycity_template.pylons_py3.written_html import in_script as in_script
from simpycity_template.pylons_py3.wsgi_text import all_to_text
from simpycity_template.pylons_py3.wsgi_text import to_text as to_text


def to_bytes(value):
    """Return text as UTF-8, and anything else as it is."""
    return value.encode("utf-8") if isinstance(value, str) else value


def decoded(value, charset):
    """Return bytes as text, and anything else as it is."""
    return value.decode(charset or "utf-8") if isinstance(value, bytes) else value


def owner(function):
    """Return a stand-in for the class in which a function was defined, or None.

    It has the two attributes that a cache's namespace is made of.
    """
    name = function.__qualname__.rpartition(".")[0]
    if not name or name.endswith("<locals>"):
        return None
    return SimpleNamespace(__module__=function.__module__, __name__=name.rpartition(".")[2])


def routing_args(environ):
    """Decode what Routes found in the path, and return its result."""
    generator, match = environ["wsgiorg.routing_args"]
    match.update(all_to_text(match))
    return generator, match


def is_of_call(error):
    """Tell whether a TypeError says that a method was called without an argument of its own."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    # That of a call inside the method was raised there.
    called_by_pylons = trace.tb_frame.f_globals.get("__name__", "").startswith("pylons.")
    return called_by_pylons and "required positional argument" in str(error)


class Sortable:
    """What has an order as text."""

    def __lt__(self, other):
        return str(self) < str(other)

    def __gt__(self, other):
        return str(self) > str(other)


def escape(value):
    """Return a value as HTML, as MarkupSafe does; bytes are text while they are ASCII."""
    return escape_silent(value.decode("ascii") if isinstance(value, bytes) else value)


def new_literal(kind, base="", encoding=None, errors="strict"):
    """Make a literal; of bytes, too, while they are ASCII."""
    if encoding is None and isinstance(base, bytes):
        encoding = "ascii"
    return Markup.__new__(kind, base, encoding, errors)


def literal_characters(text):
    """Iterate over a literal; each character is one, too."""
    return map(type(text), str.__iter__(text))


def literal_replace(text, old, new, count=-1):
    """Replace a piece of a literal; both pieces are escaped, unless they are literals."""
    old, new = (text.escape(one) if isinstance(one, str) else one for one in (old, new))
    return type(text)(str.replace(text, old, new, count))


def render_template(content, vars, filename=None):
    """Correct one of Pylons' own templates, and fill it in, as Tempita's renderer does."""
    name = (filename or "").rpartition("/")[2]
    if name.endswith("controller.py_tmpl") and "fname" in vars:
        write = plugin("controller_file")
        written = write(name, vars) if write else None
        if written is not None:
            return written
    return paste_script_template_renderer(correct(content, filename), vars, filename)


def route_of(command, package):
    """Add the route of a REST controller, and return what to say of it; or None."""
    add = plugin("controller_route")
    _, controllers = command.find_dir("controllers", True)
    resource = command.template_vars["resource_command"]
    return add(package, os.path.dirname(controllers), resource) if add else None


def say_address(command, package):
    """Print where a new controller answers."""
    describe = plugin("controller_address")
    said = describe(package, command.template_vars["fname"]) if describe else None
    if said:
        print(said)


PAGE_ENDINGS = {"render_genshi": ".html", "render_jinja2": ".jinja2"}


def page_ending(package):
    """Return what the names of a project's pages end with, by the function that renders them."""
    for module in (f"{package}.lib.base", f"{package}.controllers"):
        render = getattr(sys.modules.get(module), "render", None)
        if render is not None:
            return PAGE_ENDINGS.get(getattr(render, "__name__", ""), ".mako")
    return ".mako"


def console(names):
    """Return the console of ``paster shell``."""
    make = plugin("shell_console")
    return make(names) if make else code.InteractiveConsole(names)


def with_ipython(shell, names):
    """Return IPython's shell, with what our console does."""
    prepare = plugin("shell_ipython")
    return prepare(shell, names) if prepare else shell
