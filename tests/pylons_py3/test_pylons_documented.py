"""An application in the way of Pylons' documentation: a wiki, forms, caching, translations."""

import json
import re
import sys
from pathlib import Path

import pkg_resources
import pytest
from paste.deploy import loadapp
from projects import paster
from webtest import TestApp

pytestmark = pytest.mark.process


MODEL = """
import re

from sqlalchemy import Column, Unicode, UnicodeText

from wiki.lib.helpers import link_to
from pylons import url

wiki_words = re.compile(r"\\b([A-Z]\\w+[A-Z]+\\w+)")


class Page(Base):
    __tablename__ = "pages"
    title = Column(Unicode(40), primary_key=True)
    content = Column(UnicodeText(), default="")

    def linked(self):
        link = lambda word: link_to(word[0], url("show_page", title=word[0]))
        return wiki_words.sub(link, self.content)
"""

HELPERS = """
from webhelpers.html import literal
from webhelpers.html.secure_form import secure_form
from webhelpers.html.tags import *
from webhelpers.pylonslib import Flash

flash = Flash()
"""

ROUTES = """
    map.connect('home', '/', controller='pages', action='show', title='FrontPage')
    map.connect('show_page', '/pages/show/{title}', controller='pages', action='show')
    map.connect('edit_page', '/pages/edit/{title}', controller='pages', action='edit')
    map.connect('save_page', '/pages/save/{title}', controller='pages', action='save',
                conditions=dict(method='POST'))
    map.connect('/mounted/{path_info:.*}', controller='mounted')
    map.resource('note', 'notes')
"""

CONTROLLERS = {
    "pages": """
from pylons import request, tmpl_context as c, url
from pylons.controllers.util import abort, redirect
from pylons.decorators.secure import authenticate_form

from wiki.lib.base import BaseController, Session, render
from wiki.lib.helpers import flash
from wiki.model import Page, wiki_words


class PagesController(BaseController):
    def __before__(self):
        self.pages = Session.query(Page)

    def show(self, title):
        c.title = title
        page = self.pages.filter_by(title=title).first()
        if page:
            c.content = page.linked()
            return render("/show.mako")
        if wiki_words.match(title):
            return render("/new.mako")
        abort(404)

    def edit(self, title):
        c.title = title
        page = self.pages.filter_by(title=title).first()
        c.content = page.content if page else ""
        return render("/edit.mako")

    @authenticate_form
    def save(self, title):
        page = self.pages.filter_by(title=title).first() or Page(title=title)
        page.content = request.POST.getone("content")
        Session.add(page)
        Session.commit()
        flash("Successfully saved %s!" % title)
        redirect(url("show_page", title=title))
""",
    "forms": """
import formencode
from pylons import request
from pylons.decorators import validate
from pylons.decorators.rest import dispatch_on, restrict
from pylons.decorators.secure import https

from wiki.lib.base import BaseController, render


class EmailForm(formencode.Schema):
    allow_extra_fields = True
    filter_extra_fields = True
    email = formencode.validators.Email(not_empty=True)


class FormsController(BaseController):
    def form(self):
        return render("/form.mako")

    @validate(schema=EmailForm(), form="form")
    def email(self):
        return "Your email is: %s" % self.form_result.get("email")

    def upload(self):
        sent = request.POST["file"]
        return "%s: %i bytes" % (sent.filename, len(sent.value))

    @restrict("POST")
    def posted(self):
        return "posted"

    @dispatch_on(POST="_save")
    def either(self):
        return "shown"

    def _save(self):
        return "saved"

    @https()
    def secret(self):
        return "encrypted"
""",
    "cached": """
from beaker.cache import cache_region, region_invalidate
from pylons import response
from pylons.decorators.cache import beaker_cache

from wiki.lib.base import BaseController, render

calls = []


def called(name):
    calls.append(name)
    return "%s %d" % (name, calls.count(name))


@cache_region("short_term", "search")
def search(word):
    return called(word)


class CachedController(BaseController):
    def expires(self):
        del response.headers["Cache-Control"]
        del response.headers["Pragma"]
        response.cache_expires(seconds=30)
        return "kept"

    @beaker_cache(expire=600, type="memory", query_args=True)
    def by_query(self):
        return called("query")

    @beaker_cache()
    def forever(self):
        return called("forever")

    def region(self, id):
        return search(id)

    def forget(self, id):
        region_invalidate(search, None, "search", id)
        return ""
""",
    "hello": """
from pylons import response, session, translator
from pylons.i18n import N_, _, add_fallback, get_lang, set_lang, ungettext

from wiki.lib.base import BaseController


class HelloController(BaseController):
    def __before__(self):
        if "lang" in session:
            set_lang(session["lang"])

    def index(self):
        response.write("Default: %s, " % _("Hello"))
        for language in ["fr", "es"]:
            set_lang(language)
            response.write("%s: %s, " % (get_lang(), _("Hello")))

    def fallback(self):
        set_lang(["fr"])
        add_fallback("es")
        return "%s %s %s" % (_("Hello"), _("World"), _("Hi!"))

    def choose(self, id):
        session["lang"] = id
        session.save()
        return ""

    def word(self):
        return _("Hello")

    def old_names(self):
        set_lang("fr")
        files = translator.ungettext("%(num)d page", "%(num)d pages", 2)
        return translator.ugettext("Hello") + " " + files

    def plural(self, id):
        set_lang("fr")
        return ungettext("%(num)d page", "%(num)d pages", int(id)) % {"num": int(id)}
""",
    "mounted": """
def MountedController(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["%(SCRIPT_NAME)s|%(PATH_INFO)s" % environ]
""",
    "rpc": '''
from pylons.controllers import XMLRPCController


class RpcController(XMLRPCController):
    def greet(self, name):
        """Greets somebody."""
        return {"greeting": "Hallo, %s" % name}
    greet.signature = [["struct", "string"]]
''',
    "json": """
from pylons.controllers import JSONRPCController


class JsonController(JSONRPCController):
    def add(self, a, b):
        return a + b
""",
}

TEMPLATES = {
    "base.mako": """<title>${c.title}</title>${h.stylesheet_link('/quick.css')}
% for message in h.flash.pop_messages():
<p class="${message.category}">${message}</p>
% endfor
${next.body()}
${h.link_to('Edit ' + c.title, url('edit_page', title=c.title))}""",
    "show.mako": '<%inherit file="/base.mako"/>${h.literal(c.content)}',
    "new.mako": '<%inherit file="/base.mako"/>This page does not exist yet.',
    "edit.mako": """<%inherit file="/base.mako"/>
${h.secure_form(url('save_page', title=c.title))}
${h.textarea(name='content', rows=7, cols=40, content=c.content)}
${h.submit(value='Save changes', name='commit')}
${h.end_form()}""",
    "form.mako": """${h.form(url(controller='forms', action='email'), method='post')}
Email: ${h.text('email')} ${h.submit('submit', 'Submit')} ${h.end_form()}""",
}

CATALOGUES = {
    "fr": {"Hello": "Bonjour", "%(num)d page": ("%(num)d page", "%(num)d feuilles")},
    "es": {"Hello": "¡Hola!", "World": "Mundo"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The folder of the application."""
    folder = tmp_path_factory.mktemp("documented")
    create = ["create", "-t", "pylons", "Wiki", "sqlalchemy=True", "--no-interactive"]
    assert paster(*create, cwd=folder).returncode == 0
    project = folder / "Wiki"
    package = project / "wiki"
    _append(package / "model" / "__init__.py", MODEL)
    _append(package / "lib" / "helpers.py", HELPERS)
    _replace(package / "config" / "routing.py", "    # CUSTOM ROUTES HERE\n", ROUTES)
    _replace(
        project / "development.ini",
        "[app:main]",
        "[app:main]\nbeaker.cache.regions = short_term\nbeaker.cache.short_term.type = memory\n"
        "beaker.cache.short_term.expire = 3600",
    )
    for name, text in CONTROLLERS.items():
        (package / "controllers" / f"{name}.py").write_text(text, encoding="utf-8")
    for name, text in TEMPLATES.items():
        (package / "templates" / name).write_text(text, encoding="utf-8")
    for language, messages in CATALOGUES.items():
        _write_catalogue(package / "i18n" / language / "LC_MESSAGES" / "wiki.mo", messages)
    (package / "public" / "index.html").unlink()
    assert paster("setup-app", "development.ini", cwd=project).returncode == 0
    return project


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def _write_catalogue(path: Path, messages: dict) -> None:
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo

    catalogue = Catalog(locale=path.parent.parent.name)
    for message, translation in messages.items():
        if isinstance(translation, tuple):
            # Releases of Babel count the plural forms of a language differently.
            singular, plural = translation
            forms = (singular, *[plural] * (catalogue.num_plurals - 1))
            catalogue.add((message, message + "s"), forms)
        else:
            catalogue.add(message, translation)
    path.parent.mkdir(parents=True)
    with open(path, "wb") as file:
        write_mo(file, catalogue)


@pytest.fixture(scope="module")
def application(project):
    sys.path.insert(0, str(project))
    pkg_resources.working_set.add_entry(str(project))
    return loadapp("config:development.ini", relative_to=str(project))


@pytest.fixture
def app(application) -> TestApp:
    """A browser that comes to the application for the first time."""
    return TestApp(application)


def test_a_page_of_the_wiki_is_written_and_linked(app):
    assert "does not exist yet" in app.get("/")
    form = app.get("/pages/edit/FrontPage").form
    form["content"] = "Welcome, ä, to OtherPage!"
    saved = form.submit("commit").follow()
    assert "Successfully saved FrontPage!" in saved
    assert 'Welcome, ä, to <a href="/pages/show/OtherPage">OtherPage</a>!' in saved
    assert "Successfully saved" not in app.get("/")
    assert app.get("/pages/show/nothing", status=404)


@pytest.mark.filterwarnings("error:The 'warn' :DeprecationWarning")
def test_a_form_without_its_token_is_refused(app):
    refused = app.post("/pages/save/FrontPage", {"content": "forged"}, status=403)
    assert "Cross-site request forgery" in refused


def test_a_form_comes_back_with_what_was_wrong(app):
    form = app.get("/forms/form").form
    form["email"] = "nobody"
    page = form.submit()
    assert "An email address must contain a single @" in page
    assert page.form["email"].value == "nobody"
    page.form["email"] = "nobody@example.com"
    assert page.form.submit().text == "Your email is: nobody@example.com"


def test_a_file_is_uploaded(app):
    page = app.post("/forms/upload", upload_files=[("file", "a.bin", b"\0" * 5000)])
    assert page.text == "a.bin: 5000 bytes"


def test_an_action_answers_only_to_its_methods(app):
    assert app.post("/forms/posted").text == "posted"
    assert app.get("/forms/posted", status=405).headers["Allow"] == "POST"
    assert app.get("/forms/either").text == "shown"
    assert app.post("/forms/either").text == "saved"


def test_an_action_asks_for_encryption(app):
    assert app.get("/forms/secret", status=302).location == "https://localhost/forms/secret"
    assert app.get("https://localhost/forms/secret").text == "encrypted"


def test_a_browser_may_keep_a_page(app):
    assert app.get("/cached/expires").cache_control.max_age == 30


def test_actions_are_cached_by_their_query_or_for_ever(app):
    pages = [app.get("/cached/by_query", {"q": q}).text for q in ("1", "1", "2", "1")]
    assert pages == ["query 1", "query 1", "query 2", "query 1"]
    assert [app.get("/cached/forever").text for _ in range(2)] == ["forever 1"] * 2


def test_a_region_of_the_cache_can_be_forgotten(app):
    assert [app.get("/cached/region/a").text for _ in range(2)] == ["a 1", "a 1"]
    app.get("/cached/forget/a")
    assert app.get("/cached/region/a").text == "a 2"


def test_words_are_translated(app):
    page = app.get("/hello/index").text
    assert page == "Default: Hello, ['fr']: Bonjour, ['es']: ¡Hola!, "
    assert app.get("/hello/fallback").text == "Bonjour Mundo Hi!"
    assert [app.get(f"/hello/plural/{n}").text for n in (1, 2)] == ["1 page", "2 feuilles"]
    assert app.get("/hello/old_names").text == "Bonjour %(num)d feuilles"


def test_the_chosen_language_lasts(app):
    app.get("/hello/choose/es")
    assert app.get("/hello/word").text == "¡Hola!"


def test_a_wsgi_application_is_mounted(app):
    assert app.get("/mounted/here/and/there").text == "/mounted|/here/and/there"


def test_xml_rpc_answers(app):
    from xmlrpc.client import Fault, dumps, loads

    def call(method, *arguments):
        body = dumps(arguments, method).encode()
        return loads(app.post("/rpc/index", body, content_type="text/xml").body)[0][0]

    assert call("greet", "Zoë") == {"greeting": "Hallo, Zoë"}
    assert call("system.methodHelp", "greet").startswith("Greets somebody.")
    assert "greet" in call("system.listMethods")
    with pytest.raises(Fault, match="No such method"):
        call("nothing")


def test_json_rpc_answers(app):
    call = {"id": 1, "method": "add", "params": [1, 2]}
    assert app.post_json("/json/index", call).json["result"] == 3
    for refused, message in [
        ({"params": {"a": 1}}, "Invalid params"),
        ({"params": [1]}, "Invalid params"),
        ({"method": "nothing"}, "Method not found"),
    ]:
        page = app.post_json("/json/index", {**call, **refused})
        assert json.loads(page.text)["error"]["message"] == message


def test_a_rest_controller_is_made_and_reached(project):
    assert paster("restcontroller", "note", "notes", cwd=project).returncode == 0
    controller = project / "wiki" / "controllers" / "notes.py"
    text = re.sub(r'("""DELETE .*?""")', r'\1\n        return "gone " + id', controller.read_text())
    controller.write_text(text)
    app = TestApp(loadapp("config:development.ini", relative_to=str(project)))
    assert app.delete("/notes/7").text == "gone 7"
    assert app.post("/notes/7", {"_method": "DELETE"}).text == "gone 7"
