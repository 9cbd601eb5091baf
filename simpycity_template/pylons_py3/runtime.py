"""What corrected lines call; they know it as ``_py3``."""

import code
import gettext
import sys
from configparser import ConfigParser
from types import SimpleNamespace

from markupsafe import Markup, escape_silent
from paste.deploy.converters import asbool
from tempita import paste_script_template_renderer
from webob.acceptparse import create_accept_header

from simpycity_template.pylons_py3 import literal_re as literal_re
from simpycity_template.pylons_py3.corrections import correct
from simpycity_template.pylons_py3.plugins import plugin
from simpycity_template.pylons_py3.responses import redirection as redirection
from simpycity_template.pylons_py3.responses import taking_text as taking_text
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


def with_body(response, body, maker):
    """Return the response with a body; or the body, where it is an application that answers itself.

    Arguments:
        response: Pylons' own.
        body: what an action returned.
        maker: the action.

    Raises:
        TypeError: it is neither.
    """
    if callable(body):
        return body
    response.app_iter = encoded(body, response.charset, maker)
    return response


def encoded(body, charset, maker):
    """Return a WSGI body with its pieces of text encoded.

    Files of bytes, and wrappers that hand a file to the server, stay as they are.

    Arguments:
        body: what was returned.
        charset: that of its text; UTF-8 where it is None.
        maker: the action, or the application, that returned it.

    Raises:
        TypeError: where it is no body. Of a generator, its first wrong piece tells it.
    """
    if (hasattr(body, "read") or hasattr(body, "file")) and not hasattr(body, "encoding"):
        return body
    if isinstance(body, (str, bytes)):
        body = [body]
    if isinstance(body, (list, tuple)):
        return [_encode(piece, charset, maker) for piece in body]
    return Encoded(body, charset, maker)


class Encoded:
    """A body whose pieces of text are encoded as they are asked for."""

    def __init__(self, body, charset, maker):
        self._body = body
        try:
            self._pieces = iter(body)
        except TypeError as error:
            raise _no_body(maker, type(body).__name__) from error
        self._charset = charset
        self._maker = maker

    def __iter__(self):
        return self

    def __next__(self):
        return _encode(next(self._pieces), self._charset, self._maker)

    def close(self):
        """Close the body."""
        close(self._body)


def _encode(piece, charset, maker):
    if isinstance(piece, str):
        return piece.encode(charset or "utf-8")
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return piece
    raise _no_body(maker, f"an iterable of {type(piece).__name__}")


def _no_body(maker, returned):
    # No line of the application is in the traceback: it has returned by then.
    named = maker if hasattr(maker, "__qualname__") else type(maker)
    return TypeError(
        f"{named.__module__}.{named.__qualname__} returned {returned}: "
        "it has to be text, bytes, or an iterable of these"
    )


def close(body):
    """Close a WSGI body that can be closed."""
    if hasattr(body, "close"):
        body.close()


def replacing(environ, call, application, new_environ):
    """Call an application for the body that replaces another one.

    The body that it replaces can be read by the application (as ``pylons.original_response``), up to the
    end of the second, and is closed with it.

    Returns:
        status, headers, body and exc_info, as `call` returns them.
    """
    replaced = environ["pylons.original_response"]
    try:
        status, headers, body, exc_info = call(application, new_environ, catch_exc_info=True)
    except BaseException:
        close(replaced.app_iter)
        raise
    return status, headers, Following(body, replaced), exc_info


class Following:
    """A body that closes the response before it with itself."""

    def __init__(self, body, response):
        self._body = body
        self._response = response

    def __iter__(self):
        return iter(self._body)

    def close(self):
        """Close both bodies."""
        try:
            close(self._body)
        finally:
            # It is another one, with nothing to close, where the application has read it.
            close(self._response.app_iter)


def routing_args(environ):
    """Decode what Routes found in the path, and return its result."""
    generator, match = environ["wsgiorg.routing_args"]
    match.update(all_to_text(match))
    return generator, match


def languages(request):
    """Return what a browser accepts, best first, up to the application's own language."""
    found = []
    for item, _ in sorted(request.accept_language.parsed or (), key=lambda pair: -pair[1]):
        if _same_language(item, request.language):
            break
        found.append(item)
    return [*found, request.language]


def _same_language(accepted, offered):
    accepted, offered = accepted.lower(), offered.replace("_", "-").lower()
    return accepted in ("*", offered, offered.partition("-")[0]) or (
        accepted.partition("-")[0] == offered
    )


def first_match(accept, offers):
    """Return the first offer that is accepted, the last if it is None, else the first."""
    for offer in offers:
        if offer is None or accept.acceptable_offers([offer]):
            return offer
    return offers[0] if offers else None


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


class AcceptedTypes:
    """The media types that an Accept header allows."""

    def __init__(self, header):
        self._header = create_accept_header(header)

    def __contains__(self, media_type):
        return bool(self._header.acceptable_offers([media_type]))


def escape(value):
    """Return a value as HTML, as MarkupSafe does; bytes are text while they are ASCII."""
    return escape_silent(value.decode("ascii") if isinstance(value, bytes) else value)


def new_literal(kind, base="", encoding=None, errors="strict"):
    """Make a literal; of bytes, too, while they are ASCII."""
    if encoding is None and isinstance(base, bytes):
        encoding = "ascii"
    return Markup.__new__(kind, base, encoding, errors)


class NullTranslations(gettext.NullTranslations):
    """A translator that also answers to the names of Python 2."""

    def ugettext(self, message):
        """Translate a text."""
        return self.gettext(message)

    def ungettext(self, singular, plural, n):
        """Translate a text that depends on a number."""
        return self.ngettext(singular, plural, n)


class Translations(NullTranslations, gettext.GNUTranslations):
    """The same with a catalogue of messages."""


def render_template(content, vars, filename=None):
    """Correct one of Pylons' own templates, and fill it in, as Tempita's renderer does."""
    return paste_script_template_renderer(correct(content, filename), vars, filename)


def shows_debugger(global_conf, errorware):
    """Return whether errors are answered with the debugger: whether [DEFAULT] says so.

    Raises:
        BadCommand: the application's own section says otherwise, which would have no effect.
    """
    debug = asbool(global_conf.get("debug"))
    file = global_conf.get("__file__", "the INI file")
    said = [("the application's section", errorware.get("debug", debug)), *_debug_of_sections(file)]
    for section, value in said:
        if asbool(value) != debug:
            # It loads much that only paster needs, and has loaded.
            from paste.script.command import BadCommand

            raise BadCommand(
                f"{file}: debug is {str(debug).lower()} in [DEFAULT] and {str(value).lower()} in "
                f"{section}, where it has no effect: write it in [DEFAULT] alone. Where it is "
                "true, an error gives its visitor a console that runs any code."
            )
    return debug


def _debug_of_sections(file):
    """Yield the sections of applications that have a debug of their own, and its value.

    PasteDeploy passes over what stands in [DEFAULT], too.
    """
    # So that [DEFAULT] is a section like others here, and adds nothing to them.
    parser = ConfigParser(interpolation=None, strict=False, default_section="")
    parser.read(file, encoding="utf-8")
    for name in parser.sections():
        if name.partition(":")[0] in ("app", "application") and parser.has_option(name, "debug"):
            yield f"[{name}]", parser.get(name, "debug")


PAGE_ENDINGS = {"render_genshi": ".html", "render_jinja2": ".jinja2"}


def page_ending(package):
    """Return what the names of a project's pages end with, by the function that renders them."""
    for module in (f"{package}.lib.base", f"{package}.controllers"):
        render = getattr(sys.modules.get(module), "render", None)
        if render is not None:
            return PAGE_ENDINGS.get(getattr(render, "__name__", ""), ".mako")
    return ".mako"


class _Plugin:
    """In place of nose's, so that `pylons.test` can be imported."""


nose = SimpleNamespace(plugins=SimpleNamespace(Plugin=_Plugin))


def console(names):
    """Return the console of ``paster shell``."""
    make = plugin("shell_console")
    return make(names) if make else code.InteractiveConsole(names)


def with_ipython(shell, names):
    """Return IPython's shell, with what our console does."""
    prepare = plugin("shell_ipython")
    return prepare(shell, names) if prepare else shell
