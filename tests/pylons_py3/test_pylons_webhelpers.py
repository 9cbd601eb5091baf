"""`webhelpers.*` and `weberror.*`, by the names under which applications import them."""

import ast
import doctest
import importlib
import pkgutil
import random
import re
import struct
import sys
from datetime import datetime, timedelta, timezone

import pylons
import pytest
import sqlalchemy
import webhelpers
from chapters import ALL_FIXERS
from sqlalchemy.orm import Session

from simpycity_template.pylons_py3.corrections import MISSING, REPLACEMENTS
from simpycity_template.pylons_py3.translation import to_python3

NOT_CARRIED = {module for module, _ in MISSING}
REPLACED = {replacement.module for replacement in REPLACEMENTS}
MODULES = [
    module.name
    for module in pkgutil.walk_packages(webhelpers.__path__, "webhelpers.")
    if module.name not in NOT_CARRIED | REPLACED
]


class Python2Output(doctest.OutputChecker):
    """Compares what an example printed with what it printed on Python 2."""

    def check_output(self, want, got, optionflags):
        want = re.sub(r"\b[uU](['\"])", r"\1", want).replace("<type '", "<class '")
        return super().check_output(want, got, optionflags | doctest.NORMALIZE_WHITESPACE)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_of_webhelpers_work(name, tmp_path, monkeypatch):
    # One of them writes a file.
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    report = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        for example in test.examples:
            example.source = to_python3(example.source, name, ALL_FIXERS)
        # Its result is the letter with a combining accent, in the encoding of old terminals.
        test.examples = [e for e in test.examples if "&uuml;" not in e.source]
        doctest.DocTestRunner(Python2Output(), verbose=False).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("name", sorted(NOT_CARRIED))
def test_a_module_that_is_not_carried_says_what_to_use_instead(name):
    with pytest.raises(ImportError, match="is not carried to Python 3; use instead: "):
        importlib.import_module(name)


def test_a_replacement_in_a_literal_is_escaped():
    from webhelpers.html import HTML, lit_sub, literal

    text = literal("a <i>x</i> b")
    assert lit_sub("x", "<script>", text) == "a <i>&lt;script&gt;</i> b"
    assert lit_sub("(?P<it>x)", r"<\g<it>>\\", text) == "a <i>&lt;x&gt;\\</i> b"
    assert lit_sub("x", literal("<b>"), text) == "a <i><b></i> b"
    assert lit_sub("<i>", lambda match: HTML.b(match.group()), text) == "a <b><i></b>x</i> b"
    assert lit_sub("x", lambda match: "<" + match["it"], text.replace("x", "y")) == "a <i>y</i> b"
    assert isinstance(lit_sub("x", "", text), literal)


def test_a_select_takes_pairs_of_value_and_label():
    from webhelpers.html.tags import select

    assert '<option selected="selected" value="b">B</option>' in select(
        "name", "b", [("a", "A"), ("b", "B")]
    )


def test_a_page_of_a_collection_knows_its_neighbours():
    from webhelpers.paginate import Page, PageURL

    page = Page(range(95), page=2, items_per_page=10, url=PageURL("/list", {}))
    assert (page.page_count, page.first_item, page[0]) == (10, 11, 10)
    assert 'href="/list?page=3"' in page.pager()


def test_a_collection_that_cannot_be_sliced_is_refused():
    from webhelpers.paginate import INCOMPATIBLE_COLLECTION_TYPE, Page

    with pytest.raises(TypeError) as caught:
        Page({"a": 1})
    assert str(caught.value) == INCOMPATIBLE_COLLECTION_TYPE


def test_the_token_of_a_form_cannot_be_guessed_from_other_random_numbers():
    from webhelpers.pylonslib.secure_form import authentication_token

    tokens = set()
    for _ in range(2):
        random.seed(1)
        pylons.session._push_object({})
        tokens.add(authentication_token())
        pylons.session._pop_object()
    assert len(tokens) == 2


def test_what_sqlalchemy_selects_is_paged():
    from webhelpers.paginate import Page

    table = sqlalchemy.table("numbers", sqlalchemy.column("n"))
    with Session(sqlalchemy.create_engine("sqlite://")) as session:
        session.execute(sqlalchemy.text("CREATE TABLE numbers AS VALUES (1), (2), (3)"))
        session.execute(sqlalchemy.text("ALTER TABLE numbers RENAME column1 TO n"))
        select = sqlalchemy.select(table.c.n).order_by(table.c.n)
        page = Page(select, page=2, items_per_page=2, sqlalchemy_session=session)
        assert (page.item_count, list(page)) == (3, [(3,)])
        page = Page(session.query(table.c.n), page=1, items_per_page=2)
        assert (page.item_count, page.page_count) == (3, 2)


@pytest.mark.parametrize("kind", ["Atom1Feed", "Rss201rev2Feed"])
def test_a_feed_is_written_with_the_zone_of_its_dates(kind):
    import webhelpers.feedgenerator

    feed = getattr(webhelpers.feedgenerator, kind)("ü", "http://x/", "about", categories=["c"])
    india = timezone(timedelta(hours=5, minutes=30))
    feed.add_item("first", "http://x/1", "<p>", pubdate=datetime(2020, 1, 2, tzinfo=india))
    text = feed.writeString("utf-8")
    assert "<title>ü</title>" in text
    assert re.search(r"\+05:?30<", text)


def test_escaped_html_is_text():
    from webhelpers.util import html_escape

    assert html_escape("<ü>") == "&lt;&#252;&gt;"


def test_textile_is_imported_by_the_name_that_applications_know():
    from webhelpers import textile
    from webhelpers.html.converters import textilize

    bold = "<strong>bold</strong>"
    assert textile.textile("*bold*").strip() == f"<p>{bold}</p>"
    assert textilize("*bold* <b>").strip() == f"<p>{bold} <b></p>"
    for text in textile.textile("*bold* <b>", sanitize=True), textilize("*bold* <b>", True):
        assert text.strip() == f"<p>{bold} &lt;b&gt;</p>"


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_a_style_sheet_without_its_spaces_keeps_its_encoding(encoding, tmp_path):
    from webhelpers.pylonslib.minify import minify_sources

    charset = f'@charset "{encoding}";'
    (tmp_path / "a.css").write_text(f"{charset}\n/* x */\np {{ content: 'ä' ; }}\n", encoding)
    assert minify_sources(["/a.css"], ".min.css", str(tmp_path)) == ["/a.min.css"]
    text = (tmp_path / "a.min.css").read_text(encoding)
    assert text == f'{charset}p{{content:"ä"}}'


def test_textile_asks_for_the_package_that_it_needs(monkeypatch):
    from webhelpers.html.converters import textilize

    monkeypatch.setitem(sys.modules, "textile", None)
    with pytest.raises(ImportError, match="pip install textile"):
        textilize("*bold*")


def test_sanitised_html_stays_harmless():
    from webhelpers.html.converters import render, sanitize

    assert "<" not in sanitize("<b>a</b> &lt;script&gt;")
    assert render("<p>a &amp; b</p>").strip() == "a & b"


JPEG = bytes.fromhex("ffd8 ffe0 0004 0000 ffc0 0011 08 0003 0002")


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (JPEG, (2, 3)),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack("!II", 2, 3), (2, 3)),
        (b"something else", (None, None)),
    ],
)
def test_the_size_of_a_picture_is_read(tmp_path, data, size):
    from webhelpers.media import get_dimensions

    (tmp_path / "picture").write_bytes(data)
    assert get_dimensions(str(tmp_path / "picture")) == size


def test_the_size_of_any_other_picture_is_asked_of_pillow(monkeypatch):
    from webhelpers.media import get_dimensions_pil

    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="PIL"):
        get_dimensions_pil("picture")


def test_the_type_of_an_answer_follows_what_the_browser_accepts():
    from webhelpers.mimehelper import MIMETypes

    MIMETypes.init()
    MIMETypes.add_alias("html", "text/html")
    accepted = {"PATH_INFO": "/page", "HTTP_ACCEPT": "text/*;q=0.5"}
    assert MIMETypes(accepted).mimetype("html") == "text/html"
    assert not MIMETypes({**accepted, "HTTP_ACCEPT": "application/json"}).mimetype("html")


def test_the_names_of_countries_are_spelt_right():
    from webhelpers.constants import country_codes

    assert ("CI", "CÔTE D'IVOIRE") in country_codes()


@pytest.mark.parametrize("interactive", ["true", "false"])
def test_the_filters_of_weberror_catch_errors(interactive):
    from weberror.evalexception import make_general_exception

    def broken(environ, start_response):
        raise ValueError("boom")

    from webtest import TestApp

    app = TestApp(make_general_exception(broken, {}, interactive=interactive))
    environ = {"paste.throw_errors": "", "REMOTE_ADDR": "127.0.0.1"}
    page = app.get("/", extra_environ=environ, expect_errors=True)
    assert page.status_int == 500
    assert ("boom" in page) == (interactive == "true")


TAGS = "abc \"'><script>x</script>\\x3cscript\\x3e\n\u3ca1 onmouseover=x \u3e41--><b>"


@pytest.mark.parametrize("encode", [None, "hex", "javascript"])
def test_a_text_in_a_link_for_mail_is_neither_html_nor_javascript(encode):
    from webhelpers.html.tools import mail_to

    for link in (mail_to(TAGS, encode=encode), mail_to("a@b.example", TAGS, encode=encode)):
        html = str(link)
        if encode == "javascript":
            written = re.fullmatch(
                r"<script type=\"text/javascript\">\n//<!\[CDATA\[\neval\(unescape\('([%0-9a-fu]*)'\)\)"
                r"\n//\]\]>\n</script>",
                html,
            )
            # As a browser reads it: unescape, then the string in the script.
            script = re.sub(
                "%(?:u(....)|(..))", lambda one: chr(int(one[1] or one[2], 16)), written[1]
            )
            assert re.fullmatch(r"document\.write\('(?:[^'\\\n]|\\['\\n])*'\);", script)
            html = ast.literal_eval(script[len("document.write(") : -2])
        assert re.findall("<[^>]*>?", html) == [re.search("<a [^<>]*>", html)[0], "</a>"]


def test_a_text_in_a_comment_does_not_end_it():
    from webhelpers.html import HTML, literal

    assert HTML.comment("a --><script>", 1) == "<!--a --&gt;<script&gt;1-->"
    assert HTML.comment(literal("[if IE]><hr><![endif]")) == "<!--[if IE]><hr><![endif]-->"


def test_no_tag_is_left_of_what_is_sanitised():
    from webhelpers.html.converters import sanitize

    assert "<script" not in sanitize("<<script>script>alert(1)<</script>/script>")
    assert sanitize("1 < 2 <b>and</b> 3 > 2") == "1 < 2 and 3 > 2"
