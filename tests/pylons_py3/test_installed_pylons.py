"""Pylons 1.0.3, as it is installed, on Python 3."""

import gettext
import importlib
import io
import logging
import pkgutil
import subprocess
import sys
from pathlib import Path

import pylons
import pytest
from webhelpers.html import literal

from simpycity_template.pylons_py3 import cache, corrections, literal_re

# Asks for repoze.bfg, and for a module of Pylons that does not exist, on Python 2 as well.
BROKEN = {"pylons.url"}
MODULES = [
    module.name
    for module in pkgutil.walk_packages(pylons.__path__, "pylons.")
    if module.name not in BROKEN
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_pylons_can_be_imported(name):
    assert importlib.import_module(name)


def test_the_first_type_that_is_accepted_is_found():
    from pylons.controllers.util import Request

    request = Request.blank("/", accept="text/plain;q=0.5, text/html;q=0")
    assert request.match_accept(["text/html", "text/plain"]) == "text/plain"
    assert request.match_accept(["text/html", None]) is None
    assert request.match_accept(["text/html", "image/png"]) == "text/html"


def test_a_signed_cookie_that_nobody_signed_is_none():
    from pylons.controllers.util import Request

    request = Request.blank("/")
    for forged in ("a" * 50, "ä" * 50):
        request.cookies["signed"] = forged
        assert request.signed_cookie("signed", "s3cret") is None


@pytest.mark.process
def test_the_version_is_known_without_a_look_at_all_requirements():
    program = (
        "import pkg_resources; del pkg_resources.require; import pylons; print(pylons.__version__)"
    )
    run = [sys.executable, "-c", program]
    assert subprocess.run(run, text=True, stdout=subprocess.PIPE).stdout == "1.0.3\n"


@pytest.mark.filterwarnings("error")
def test_a_controller_is_found_by_its_dotted_name():
    from pylons.controllers import WSGIController
    from pylons.wsgiapp import PylonsApp

    app = PylonsApp.__new__(PylonsApp)
    app.controller_classes = {}
    assert app.find_controller("pylons.controllers.core:WSGIController") is WSGIController


@pytest.mark.filterwarnings("error")
def test_an_object_is_found_by_its_dotted_name():
    from pylons.util import PylonsTemplate, resolve_dotted

    assert resolve_dotted("pylons.util:PylonsTemplate") is PylonsTemplate


def test_an_exception_that_is_handed_to_start_response_is_raised():
    from pylons.util import call_wsgi_application

    def failing(environ, start_response):
        try:
            raise ValueError("boom")
        except ValueError:
            start_response("500 Internal Server Error", [], sys.exc_info())

    with pytest.raises(ValueError) as caught:
        call_wsgi_application(failing, {})
    assert caught.value.args == ("boom",)
    assert any(entry.name == "failing" for entry in caught.traceback)


def test_the_key_of_a_cached_action_names_its_class():
    from pylons.decorators.cache import create_cache_key

    class Controller:
        def action(self):
            pass

    def function():
        pass

    Controller.action.__qualname__ = "Controller.action"
    assert create_cache_key(Controller.action) == (f"{__name__}.Controller", "action")
    assert create_cache_key(Controller.action, self=Controller()) == (
        f"{__name__}.Controller",
        "action",
    )
    assert create_cache_key(function, {"id": 1}) == (__name__, "function id=1")


def test_records_are_logged_to_the_errors_of_the_request():
    from pylons.controllers.util import Request
    from pylons.log import WSGIErrorsHandler

    request = Request.blank("/")
    request.environ["wsgi.errors"] = errors = io.StringIO()
    pylons.request._push_object(request)
    try:
        WSGIErrorsHandler().emit(logging.makeLogRecord({"msg": "naïve"}))
    finally:
        pylons.request._pop_object()
    assert errors.getvalue() == "naïve\n"


def test_a_translator_of_gettext_will_do():
    from pylons.i18n import _, ungettext

    pylons.translator._push_object(gettext.NullTranslations())
    try:
        assert (_("page"), ungettext("page", "pages", 2)) == ("page", "pages")
    finally:
        pylons.translator._pop_object()


def test_the_translators_of_an_application_answer_to_the_old_names():
    from pylons.i18n.translation import _get_translator

    translator = _get_translator(None)
    assert translator.ugettext("page") == "page"
    assert translator.ungettext("page", "pages", 2) == "pages"


def test_a_body_that_no_error_document_reads_is_closed_with_the_document():
    from pylons.middleware import StatusCodeRedirect

    closed = []

    class Body(list):
        def close(self):
            closed.append(self[0])

    def application(environ, start_response):
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return Body([b"document" if environ["PATH_INFO"] == "/error/document" else b"missing"])

    body = StatusCodeRedirect(application)({"PATH_INFO": "/"}, lambda *arguments: None)
    assert (list(body), closed) == ([b"document"], [])
    body.close()
    assert closed == [b"document", b"missing"]


def test_a_global_has_no_attributes_outside_of_a_request():
    from pylons import app_globals, request, session
    from pylons import tmpl_context as c

    assert not any(hasattr(one, "user") for one in (c, request, session, app_globals))
    with pytest.raises(TypeError, match="No object .* has been registered"):
        c.user  # noqa: B018


def test_each_file_of_corrections_changes_the_fingerprint_of_translations():
    files = Path(corrections.__file__).parent.glob("*.py")
    assert {f"corrections/{file.name}" for file in files} <= set(cache.PARTS)


def test_a_pattern_of_webhelpers_splits_what_it_is_given():
    assert literal_re.compile(b",").split(b"a,b") == [b"a", b"b"]
    assert literal_re.compile(",").split(literal("<b>,&amp;")) == [literal("<b>"), literal("&amp;")]


def test_the_plugin_of_pylons_has_the_base_that_nose_gave_it():
    from nose.plugins import Plugin
    from pylons.test import PylonsPlugin

    assert issubclass(PylonsPlugin, Plugin)


def test_the_assertions_of_nose_can_be_imported():
    from nose import SkipTest
    from nose.plugins import skip
    from nose.tools import assert_equal, assert_equals, assert_raises, eq_, ok_, raises, with_setup

    assert skip.SkipTest is SkipTest
    assert_equal({"a": 1}, {"a": 1})
    assert_equals(1, 1)
    ok_(True)
    with assert_raises(AssertionError):
        assert_equal(1, 2)
    with assert_raises(AssertionError):
        eq_(1, 2)
    with assert_raises(AssertionError):
        ok_(0)
    calls = []

    @with_setup(lambda: calls.append("before"), lambda: calls.append("after"))
    @raises(KeyError)
    def fails():
        calls.append("test")
        {}["x"]

    fails()
    assert calls == ["before", "test", "after"]
    with pytest.raises(AssertionError, match="did not raise KeyError"):
        raises(KeyError)(list)()
