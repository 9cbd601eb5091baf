"""Every block of code in the documentation does what it says, and every link leads somewhere."""

import configparser
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from pages import PAGES, ROOT, blocks, shape
from projects import python
from psycopg2.extensions import parse_dsn

import simpycity_template
from simpycity_template import Manager
from simpycity_template.settings import Settings
from simpycity_template.simpycity_patches.handle import ManagedHandle

# What is run here, of every page: blocks without caption or name.
HERE = {"python", "sql", "ini"}

# And what runs the others: of a page, the blocks in a language.
ELSEWHERE = {
    "docs/security.rst": {"ini": "security/test_slow_requests.py"},
    "README.txt": {"console": "test_readme.py", "text": "test_howto.py"},
    "docs/connections.rst": {"console": "test_howto.py", "text": "test_howto.py"},
    "docs/contributing.rst": {"console": "test_packaging.py"},
    "docs/databases.rst": {"python": "servers/test_standbys.py"},
    "docs/deployment.rst": {
        "apache": "servers/test_apache.py",
        "console": "servers/test_*.py",
        "ini": "servers/*.py",
        "python": "servers/*.py",
        "text": "servers/*.py",
        "toml": "test_packaging.py",
    },
    "docs/frameworks/celery.rst": {
        "console": "**/test_*.py",
        "python": "frameworks/test_celery.py",
    },
    "docs/frameworks/django.rst": {
        "console": "test_howto.py",
        "postgresql": "frameworks/test_django.py",
        "python": "frameworks/test_django.py",
    },
    "docs/frameworks/flask.rst": {
        "console": "**/test_*.py",
        "python": "frameworks/test_flask.py",
    },
    "docs/frameworks/index.rst": {"console": "frameworks/conftest.py"},
    "docs/frameworks/jobs.rst": {
        "python": "frameworks/test_jobs.py",
        "text": "frameworks/test_jobs.py",
    },
    "docs/frameworks/pylons.rst": {
        "ini": "frameworks/test_pylons.py",
        "python": "frameworks/test_pylons.py",
    },
    "docs/frameworks/pyramid.rst": {
        "console": "**/test_*.py",
        "ini": "frameworks/test_pyramid.py",
        "python": "frameworks/test_pyramid.py",
    },
    "docs/frameworks/wsgi.rst": {"python": "frameworks/test_wsgi.py"},
    "docs/functions.rst": {
        "console": "paster/test_functions.py",
        "postgresql": "simpycity_patches/test_documented_functions.py",
        "python": "simpycity_patches/test_documented_functions.py",
    },
    "docs/long_running.rst": {"text": "test_docs.py"},
    "docs/moving.rst": {
        "console": "moved.py",
        "ini": "pylons_py3/test_pylons_import.py",
    },
    "docs/monitoring.rst": {"console": "test_howto.py"},
    "docs/schema.rst": dict.fromkeys(
        ["console", "postgresql", "python", "text"], "schema/test_existing_project.py"
    ),
    "docs/sizing.rst": {
        "console": "servers/test_sizing.py",
        "text": "servers/test_sizing.py",
    },
    "docs/testing.rst": {"console": "test_howto.py"},
    "docs/tutorial_schema.rst": dict.fromkeys(
        ["console", "html+mako", "postgresql", "python", "text"], "test_tutorial.py"
    ),
    "docs/tutorial.rst": dict.fromkeys(
        ["console", "html+mako", "ini", "postgresql", "python", "text"], "test_tutorial.py"
    ),
}


def run_here(page, language):
    return [b.text for b in blocks(page, language) if not b.caption and not b.name]


def pages_with(language):
    """The pages with blocks that are run here; docutils takes a second to read all, in each worker."""
    block = re.compile(rf"(?m)^ *\.\. code(-block)?:: {language}\n(?! +:(caption|name):)")
    return [page for page in PAGES if block.search((ROOT / page).read_text())]


@pytest.mark.parametrize("language", sorted(HERE))
def test_the_pages_with_blocks_that_are_run_here_are_found(language):
    assert pages_with(language) == [page for page in PAGES if run_here(page, language)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_on_a_page_is_run_by_a_test(page):
    for one in blocks(page):
        if one.language in HERE and not one.caption and not one.name:
            continue
        test = ELSEWHERE.get(page, {}).get(one.language)
        assert test, f"no test runs this block in {one.language!r}:\n{one.text}"
        tests = "".join(file.read_text() for file in (ROOT / "tests").glob(test))
        # A block's name, or else that of its page, is what the test takes it by.
        assert (f'"{one.name}"' if one.name else Path(page).stem) in tests


def test_no_page_is_listed_that_has_no_such_block():
    for page, languages in ELSEWHERE.items():
        assert set(languages) <= {one.language for one in blocks(page)}, page


@pytest.mark.parametrize("page", pages_with("python"))
def test_the_python_on_a_page_runs_from_top_to_bottom(page, server, dsn):
    where = parse_dsn(server.admin_dsn)
    program = "\n".join(
        ['config = {"simpycity.dsn": "dbname=helloworld"}']
        + [one.text for one in blocks(page, "python") if not one.caption]
    ).replace("dbname=helloworld", f"dbname={parse_dsn(dsn)['dbname']}")
    environment = {
        **os.environ,
        "PGHOST": where["host"],
        "PGPORT": where.get("port", "5432"),
        "PGUSER": where["user"],
    }
    run = python("-c", program, cwd=ROOT, env=environment)
    assert run.returncode == 0, run.stderr
    for shown in [one for one in blocks(page) if one.name == "printed"]:
        assert re.search(shape(shown.text), run.stdout), run.stdout


@pytest.mark.parametrize("page", pages_with("sql"))
def test_the_sql_on_a_page_runs(page, manager):
    for sql in run_here(page, "sql"):
        manager.handle().execute(sql)


@pytest.mark.parametrize("page", pages_with("ini"))
def test_the_settings_on_a_page_are_accepted(page):
    for text in run_here(page, "ini"):
        parser = configparser.ConfigParser()
        parser.read_string(f"[app:main]\n{text}")
        given = dict(parser["app:main"])
        for prefix in {key.partition(".")[0] + "." for key in given}:
            Settings.from_config({f"{prefix}dsn": "dbname=helloworld"} | given, prefix)


class Links(HTMLParser):
    """What a page of HTML refers to, and what it can be referred to by."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.anchors = set(), {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found["id"]} if "id" in found else set()
        self.targets |= {found[name] for name in ("href", "src") if found.get(name)}


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The documentation, built."""
    pytest.importorskip("furo", reason="the extra 'docs' is not installed")
    folder = tmp_path_factory.mktemp("html")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", "docs", str(folder)]
    run = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.process
@pytest.mark.slow(seconds=20)
def test_the_title_and_the_commands_to_start_with_fit_on_a_screen_1280_pixels_wide(html, browser):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get((html / "start.html").as_uri())
    title = "const title = document.querySelector('.sidebar-brand-text');"
    lines = "return title.offsetHeight / parseFloat(getComputedStyle(title).lineHeight)"
    assert browser.execute_script(title + lines) == pytest.approx(1, abs=0.2)
    too_wide = "[...document.querySelectorAll('pre')].filter(p => p.scrollWidth > p.clientWidth)"
    assert browser.execute_script(f"return {too_wide}.map(p => p.innerText)") == []


# As many characters as a block of the pages shows on a screen 1280 pixels wide, in a browser.
WIDEST = 90


def test_no_line_of_code_is_cut_off_on_a_screen_1280_pixels_wide():
    shown = {page: [one.text for one in blocks(page)] for page in PAGES}
    shown |= {str(file): [file.read_text()] for file in (ROOT / "docs").glob("speed_*.txt")}
    lines = [(page, line) for page in shown for text in shown[page] for line in text.splitlines()]
    assert [(page, line) for page, line in lines if len(line) > WIDEST] == []


@pytest.mark.process
def test_every_link_leads_to_a_place_that_is_there(html):
    pages = {file: Links(file.read_text()) for file in html.rglob("*.html")}
    assert len(pages) > len(PAGES)
    for page, links in pages.items():
        for target in links.targets:
            if re.match(r"[a-z]+:", target):
                continue
            path, anchor = urldefrag(target)
            file = (page.parent / unquote(path).partition("?")[0]).resolve() if path else page
            assert file.exists(), f"{page.name}: {target}"
            assert file not in pages or anchor in pages[file].anchors, f"{page.name}: {target}"


@pytest.mark.process
def test_every_public_name_is_in_the_reference(html):
    documented = Links((html / "reference.html").read_text()).anchors
    members = {name for name in vars(Manager) if not name.startswith("_")}
    public = {f"simpycity_template.{name}" for name in simpycity_template.__all__}
    public |= {f"simpycity_template.Manager.{name}" for name in members}
    handle = "simpycity_template.simpycity_patches.handle.ManagedHandle"
    public |= {f"{handle}.{name}" for name in vars(ManagedHandle) if not name.startswith("_")}
    # What the manager notes on a handle.
    public.discard(f"{handle}.taken")
    public |= {name for text in texts_for_applications() for name in imported(text)}
    assert len(public) > 25
    assert public <= documented


def texts_for_applications():
    """What the documentation and the template show to those who write applications."""
    yield from (one.text for page in PAGES for one in blocks(page, "python"))
    yield from (file.read_text() for file in (ROOT / "+package+").rglob("*.py_tmpl"))


def imported(text):
    """The names that ``text`` imports from us, and what it uses of the modules that it imports."""
    for module, names in re.findall(r"from (simpycity_template[\w.]*) import (.+)", text):
        for name in names.split(", "):
            try:
                home = import_module(f"{module}.{name}")
            except ModuleNotFoundError:
                yield f"{module}.{name}"
            else:
                used = re.findall(rf"\b{name}\.(\w+)", text)
                yield from (f"{module}.{name}.{one}" for one in used if hasattr(home, one))


def test_each_promise_has_functions_and_tests_that_are_there():
    promises = re.split(r"\n *(?=\d+  )", simpycity_template.__doc__)[1:]
    page = (ROOT / "docs/promises.rst").read_text()
    assert len(promises) == len(re.findall(r"(?m)^\d+\. ", page))
    for promise in promises:
        named = re.findall(r"(\S+\.py):\s+(.+)", promise)
        assert {file.startswith("tests/") for file, _ in named} == {True, False}, promise
        for file, names in named:
            folder = ROOT if file.startswith("tests/") else ROOT / "simpycity_template"
            text = (folder / file).read_text()
            for name in re.findall(r"(\w+)\(\)", names):
                assert f"def {name}(" in text, f"{promise}: no {name}() in {file}"


def test_every_file_that_is_named_is_there():
    named = {
        (page, name)
        for page in PAGES
        for name in re.findall(r"``((?:docs|tests|benchmarks|simpycity_template)/[\w./]+)``",
                               (ROOT / page).read_text())
    }  # fmt: skip
    assert named
    for page, name in named:
        assert (ROOT / name).exists(), f"{page}: {name}"
