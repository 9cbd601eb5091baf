"""What Pylons' documentation tells its reader to type runs: the tutorials.

Each snippet is typed where its chapter says, or is left out for a reason that is told. Python 2
syntax is translated by fissix; the rules are what a reader changes besides: for Python 3, for
today's releases of other libraries, and where the documentation itself slips.
"""

import os
import re
import sys
from zipfile import ZipFile

import pytest
from chapters import ALL_FIXERS, AS_BEFORE_1_0, OF_THE_REQUEST, PLAIN, WITH_SQLALCHEMY, Rule
from projects import run

from simpycity_template.pylons_py3.translation import to_python3

pytestmark = pytest.mark.slow(seconds=25)


def test_getting_started(read):
    reader = read("gettingstarted", "helloworld")
    reader.run(9, input=PLAIN)
    reader.run(10)
    reader.run(11)
    reader.write("controllers/hello.py", 12)
    assert reader.app().get("/hello/index").text == "Hello World"

    reader.write("templates/hello.mako", 13)
    reader.replace("controllers/hello.py", r"(?s)class .*", 14)
    assert "REQUEST_METHOD" in reader.app().get("/hello/index")

    reader.chapter.end(
        {
            "pip installs Pylons, in a virtual environment.": range(9),
        }
    )


QUICKWIKI = [
    Rule("The class is there, with its table: what follows goes on in it.",
         "class Page(object):\n", ""),
    Rule("The same.", "orm.mapper(Page, pages_table)\n", ""),
    Rule("Sets are built in.", "import sets\n", ""),
    Rule("Sets are built in.", "sets.Set(", "set("),
    Rule("A pin of 2005.", "docutils==0.4", "docutils"),
    Rule("SQLAlchemy binds the session, and the metadata is that of the base.",
         "meta.metadata.create_all(bind=meta.engine)",
         "meta.Base.metadata.create_all(bind=meta.Session.bind)"),
    Rule("Pylons 1.0 has no redirect_to.", "redirect_to('show_page', title=title)",
         "redirect(url('show_page', title=title))"),
    Rule("Pylons 1.0 has no redirect_to.", "redirect_to('pages')", "redirect(url('pages'))"),
    Rule("cgi.escape was removed in Python 3.8.", "from cgi import", "from html import"),
    OF_THE_REQUEST._replace(old="url(title=", new="url.current(title="),
]  # fmt: skip


def test_quickwiki(read):
    reader = read("tutorials/quickwiki_tutorial", "quickwiki", *QUICKWIKI)
    create_the_wiki(reader)
    describe_its_pages(reader)
    set_it_up(reader)
    show_pages(reader)
    write_pages(reader)
    list_and_delete_pages(reader)
    publish_it(reader)
    reader.chapter.end({
        "The finished application: what PyPI has of it is in test_pylons_quickwiki.py.": [0, 1],
        "The server with the sources is gone.": [2, 3],
        "SQLAlchemy 2 binds no metadata; it explains a line that is typed.": [17, 18],
        "pip installs no eggs, and easy_install is gone.": [48],
        "They publish on PyPI, in the authors' name.": [49, 50, 51, 52],
    })  # fmt: skip


def create_the_wiki(reader):
    reader.run(4, input=WITH_SQLALCHEMY)
    reader.run(5)
    reader.path("public/index.html").unlink()
    assert "Server Error 404" in reader.app().get("/", status=404)


def describe_its_pages(reader):
    reader.prepend("model/__init__.py", 6)
    reader.append("model/__init__.py", 7)
    reader.append("model/__init__.py", 8, indent=4)
    reader.prepend("model/__init__.py", 9)
    reader.replace("model/__init__.py", r"(?s)\n    def __init__.*", 10, indent=4)
    reader.write("lib/helpers.py", 11)
    reader.replace("../setup.py", r"(?s)install_requires=.*?\],", 12)
    reader.replace("../setup.py", r"(?s)version='0.1'.*?url='',", 13)
    reader.replace("../setup.cfg", re.escape(reader.chapter[14]))
    # Into a folder of its own, and not where these tests run.
    prefix = {"PIP_PREFIX": str(reader.folder / "prefix"), "PIP_NO_BUILD_ISOLATION": "0"}
    reader.run(15, env={**os.environ, **prefix})


def set_it_up(reader):
    reader.write("websetup.py", 16)
    reader.replace("../development.ini", "sqlalchemy.url = .*")
    reader.replace("../development.ini", r"\[app:main\]\nuse = egg:QuickWiki\n", 19)
    reader.run(20)
    reader.replace("config/deployment.ini_tmpl", "sqlalchemy.url = .*", 21)


def show_pages(reader):
    reader.write("templates/base.mako", 22)
    reader.write("lib/helpers.py", 23)
    reader.replace("config/routing.py", "(?s)    # CUSTOM ROUTES HERE.*", 24, indent=4)
    # Pylons 0.9 did this by itself.
    reader.replace("config/environment.py", "(?=    return config)", AS_BEFORE_1_0, indent=4)
    reader.run(26)
    reader.prepend("controllers/pages.py", 27)
    reader.replace("controllers/pages.py", "(?s)class .*", 28)
    reader.append("controllers/pages.py", 29, indent=4)
    reader.write("templates/pages/show.mako", 30)
    reader.write("templates/pages/new.mako", 31)
    reader.run(32)
    reader.write("public/quick.css", 33)
    new = reader.app().get("/").click("QuickWiki")
    assert "Create the page" in new
    with pytest.raises(NotImplementedError, match="edit"):
        new.click("Create the page")
    # The links of the footer, written in another way.
    footer = reader.path("templates/base.mako").read_text()
    reader.replace("templates/base.mako", r"url\('FrontPage'\)(?=\))", reader.chapter[25].strip())
    assert "Welcome" in reader.app().get("/").click("^FrontPage$")
    reader.path("templates/base.mako").write_text(footer)


def write_pages(reader):
    reader.append("controllers/pages.py", 34, indent=4)
    reader.write("templates/pages/edit.mako", 35)
    reader.append("controllers/pages.py", 36, indent=4)
    reader.append("lib/helpers.py", 37)
    reader.prepend("controllers/pages.py", 38)
    reader.write("templates/base.mako", 39)
    reader.append("public/quick.css", 40)
    app = reader.app()
    form = app.get("/NewPage").click("Create the page").form
    form["content"] = "*Hello*, see FrontPage"
    saved = form.submit("commit").follow()
    assert "Successfully saved NewPage!" in saved and "<em>Hello</em>" in saved
    assert app.get("/quick.css").content_type == "text/css"


def list_and_delete_pages(reader):
    reader.append("controllers/pages.py", 41, indent=4)
    reader.write("templates/pages/index.mako", 42)
    reader.write("templates/base.mako", 43)
    reader.append("controllers/pages.py", 44, indent=4)
    # Another way to write the query of a page.
    one, other = reader.chapter[45].strip(), reader.chapter[46].strip()
    reader.replace(
        "controllers/pages.py", re.escape(one) + r"(?=.*\n.*\n *c.content = page.get)", other
    )
    app = reader.app()
    form = app.get("/NewPage").click("Title List").form
    for box in form.fields["title"]:
        box.checked = box._value == "NewPage"
    assert "Deleted NewPage." in form.submit("delete").follow()
    assert "Title List" in app.get("/FrontPage")


def publish_it(reader):
    reader.run(47)
    assert [egg.name[:16] for egg in (reader.folder / "dist").iterdir()] == ["QuickWiki-0.1.6-"]


TRANSLATE_DEMO = [
    Rule("The project has another name.", "helloworld", "translate_demo"),
    Rule("Pylons 0.9 had these names in lib/base.py.", "from translate_demo.lib.base import *",
         "from pylons import request, response, session\n"
         "from pylons.i18n import _, add_fallback, ungettext\n"
         "from translate_demo.lib.base import *"),
    Rule("The line belongs into the loop, as the output shows.",
         "    set_lang(lang)\n        response", "    set_lang(lang)\n            response"),
    Rule("Nothing is under version control here.", "$ svn", "svn"),
    Rule("A quote is missing.", "**.html, ", "**.html', "),
    Rule("The last is that of the messages themselves, of which there is no catalogue.",
         "request.languages", "request.languages[:-1]"),
]  # fmt: skip


# The catalogues, and a message in them that has no translation yet.
ES, FR = (f"i18n/{language}/LC_MESSAGES/translate_demo.po" for language in ("es", "fr"))
UNTRANSLATED = r'msgid "{}"\nmsgstr ""\n'


def test_internationalization(read):
    reader = read("i18n", "translate_demo", *TRANSLATE_DEMO)
    make_the_catalogues(reader)
    choose_a_language(reader)
    fall_back(reader)
    translate_later(reader)
    make_an_egg(reader)
    use_plurals(reader)
    reader.chapter.end({
        "Babel is installed with pip.": [5],
        "They show the words of other programs and catalogues.": [25, 34],
    })  # fmt: skip


def make_the_catalogues(reader):
    reader.run(0, input=PLAIN)
    reader.run(1)
    reader.write("controllers/hello.py", 2)
    reader.replace("../setup.py", r"(?s)    #message_extractors.*?'ignore', None\)\]\},\n", 6)
    reader.run(7)
    reader.run(8)
    template = reader.path("i18n/translate_demo.pot").read_text()
    assert "".join(reader.chapter[9].splitlines(True)[-2:]) in template
    reader.run(10)
    reader.replace(ES, UNTRANSLATED.format("Hello"), 11)
    reader.run(12)
    reader.append("controllers/hello.py", 13, indent=8)
    reader.run(14)
    reader.run(15)
    reader.replace(FR, UNTRANSLATED.format("Hello"), 16)
    reader.run(12)
    assert all(
        (reader.folder / reader.package / name).exists() for name in reader.chapter[17].split()
    )
    reader.run(18)
    assert words(reader.app().get("/hello/index"))[:4] == reader.chapter[19].splitlines()


def choose_a_language(reader):
    reader.action("hello", "choose(self)", 20)
    reader.append("controllers/hello.py", 21, indent=4)
    app = reader.app()
    app.get("/hello/choose")
    assert words(app.get("/hello/index"))[0] == "Default: Hello"
    reader.replace("../development.ini", r"\[app:main\]\nuse = egg:translate_demo\n", 22)
    assert words(reader.app().get("/hello/index"))[:4] == reader.chapter[23].splitlines()
    reader.replace("controllers/hello.py", r"response.write\('Goodbye.*\n", 24)
    assert words(reader.app().get("/hello/index"))[4] == "¡Hola! World, Hi!"


def fall_back(reader):
    reader.write("controllers/hello.py", 26)
    reader.run(14)
    reader.replace(ES, UNTRANSLATED.format("World"), 'msgid "World"\nmsgstr "Mundo"\n')
    reader.run(12)
    assert reader.app().get("/hello/index").text == "Bonjour Mundo, Hi!"
    reader.action("hello", "accepted(self)", 27, after="return _('Hello')")
    reader.write("templates/hello.mako", 28)
    reader.append(
        "controllers/hello.py", "def page(self):\n    return render('/hello.mako')\n", indent=4
    )
    app = reader.app()
    header = {"Accept-Language": "fr, es;q=0.5"}
    assert app.get("/hello/accepted", headers=header).text == "¡Hola!"
    assert app.get("/hello/page").text.strip() == "¡Hola!"
    extractors = r"(?s)message_extractors.*?'ignore', None\)\]\},\n"
    reader.replace("../setup.py", extractors, 29)
    reader.replace("../setup.py", r"\('templates/\*\*.mako'.*\n", 30)
    reader.run(8)


def translate_later(reader):
    reader.replace("../development.ini", "lang = es\n")
    reader.write("controllers/hello.py", 31)
    assert words(reader.app().get("/hello/index"))[-1] == reader.chapter[32].splitlines()[-1]
    reader.replace("controllers/hello.py", r"(?s)from .*?\ntext = _\('Hello'\)\n", 33)
    assert words(reader.app().get("/hello/index"))[-1] == "Text: ¡Hola!"
    reader.action("hello", "joined(self)", 35)
    with pytest.raises(TypeError, match="concatenate"):
        reader.app().get("/hello/joined")


def make_an_egg(reader):
    assert reader.chapter[37].strip() in (reader.folder / "setup.py").read_text()
    reader.run(36)
    (egg,) = (reader.folder / "dist").iterdir()
    assert "translate_demo/i18n/es/LC_MESSAGES/translate_demo.mo" in ZipFile(egg).namelist()


def use_plurals(reader):
    reader.action("hello", "files(self, id)", 38, before="n = int(id)\nreturn ")
    reader.action("hello", "dogs(self, id)", 40, before="n = int(id)\n", after="return msg")
    reader.action("hello", "told(self)", 3, after="return msg")
    reader.action("hello", "told_better(self)", 4, after="return msg")
    app = reader.app()
    assert " 1 file " in app.get("/hello/files/1") and " 2 files " in app.get("/hello/files/2")
    assert "dogs" in app.get("/hello/dogs/2")
    assert "outside" in app.get("/hello/told") and "outside" in app.get("/hello/told_better")
    reader.run(8)
    assert (
        reader.chapter[39].partition("\n")[2] in reader.path("i18n/translate_demo.pot").read_text()
    )


def words(page) -> list[str]:
    """The lines of a page of the translated project, as the chapter shows them."""
    return re.sub(r"\['(\w+)'\]", r"\1", page.text).replace("<br />", "\n").splitlines()


def test_understanding_unicode(read):
    reader = read(
        "tutorials/understanding_unicode",
        "texts",
        Rule("Python 2's str, that of bytes.", "unicode('hello' + chr(255))",
             "unicode(b'hello' + bytes([255]), 'ascii')"),
        Rule("Python 2's str, and what it was taken for.", "unicode('\\x80abc', ",
             "unicode(b'\\x80abc', 'ascii', "),
        Rule("Python 2's str, that of bytes.", "unicode('\\x80', ", "unicode(b'\\x80', "),
        Rule("A traceback's lines are indented.", "\nFile ", "\n  File "),
        Rule("It shows one letter too many.", "\n97 102", "\n102"),
        Rule("What is printed has no quotes.", "print a + b", "a + b"),
        Rule("A name is misspelt.", "unichar(", "unichr("),
        Rule("A name that is to be decoded is bytes.", "'/' in filename", "b'/' in filename"),
        Rule("The attribute stands for three letters.", " ...>", "></form>"),
    )  # fmt: skip
    for number in range(8):
        reader.session(number)

    folder = reader.folder
    in_latin_1 = to_python3(reader.chapter[8], "", ALL_FIXERS)
    (folder / "latin_1.py").write_text(in_latin_1, encoding="latin-1")
    (folder / "utf_8.py").write_text(to_python3(reader.chapter[9], "", ALL_FIXERS))
    files = ["import codecs\n", 13, 12, 14, 15, 17, "print(read_file(b'unicode.txt', 'utf-8'))\n"]
    reader.write("../files.py", *files)
    printed = {}
    for name in ("latin_1", "utf_8", "files"):
        done = run(sys.executable, f"{name}.py", cwd=folder)
        assert done.returncode == 0, done.stderr
        printed[name] = done.stdout
    assert printed["latin_1"] == printed["utf_8"] == reader.chapter[11]
    assert printed["files"].startswith("'f'\n'français'\n")
    assert printed["files"].count("Sample \u1388") == 2
    assert (folder / "français").read_text() == "Some data\n"

    reader.run("$ paster create -t pylons texts\n$ cd texts", input=PLAIN)
    reader.run("$ paster controller hello")
    reader.action("hello", "headed(self)", 22, after="return '\xe9'")
    reader.append("controllers/hello.py", PAGE, indent=4)
    reader.write("templates/page.mako", 21, 24)
    reader.replace("config/environment.py", "(?=    return config)", 23, indent=4)
    app = reader.app()
    assert app.get("/hello/headed").headers["Content-Type"] == "text/html; charset=utf-8"
    assert 'accept-encoding="US-ASCII"' in app.get("/hello/page")

    reader.chapter.end({
        "Python 3 takes source for UTF-8, without a warning.": [10],
        "It shows the names of files as Python 2's str.": [16],
        "WebOb always decodes what a request sends.": [18, 19],
        "Pylons 1.0 has no Buffet.": [20],
    })  # fmt: skip


PAGE = """def page(self):
    return render('/page.mako')
"""
