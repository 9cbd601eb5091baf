"""Every command and every block of code in the documentation does what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from docutils.core import publish_doctree
from docutils.nodes import literal_block
from psycopg2.extensions import parse_dsn

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.txt", *sorted((ROOT / "docs").glob("*.rst"))]


def blocks(page, language):
    """The code blocks of ``page`` in ``language``, in order."""
    quiet = {"report_level": 5, "file_insertion_enabled": False}
    tree = publish_doctree(page.read_text(), settings_overrides=quiet)
    return [
        block.astext()
        for block in tree.findall(literal_block)
        if {"code", language} <= set(block["classes"])
    ]


PYTHON_PAGES = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_the_python_on_a_page_runs_from_top_to_bottom(page, server, dsn):
    where = parse_dsn(server.admin_dsn)
    program = "\n".join(
        ['config = {"simpycity.dsn": "dbname=helloworld"}', *blocks(page, "python")]
    ).replace("dbname=helloworld", f"dbname={parse_dsn(dsn)['dbname']}")
    environment = {
        **os.environ,
        "PGHOST": where["host"],
        "PGPORT": where.get("port", "5432"),
        "PGUSER": where["user"],
    }
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_every_block_of_code_is_of_a_kind_that_a_test_runs():
    tested = {"python", "console", "sql", "text", "ini", "apache", "postgresql", "html+mako"}
    for page in PAGES:
        quiet = {"report_level": 5, "file_insertion_enabled": False}
        tree = publish_doctree(page.read_text(), settings_overrides=quiet)
        for block in tree.findall(literal_block):
            kinds = set(block["classes"]) - {"code"}
            assert not kinds or kinds & tested, f"{page.name}: {block.astext()}"


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "sql")], ids=lambda p: p.name)
def test_the_sql_on_a_page_runs(page, manager):
    for sql in blocks(page, "sql"):
        manager.handle().execute(sql)


def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("furo", reason="the extra 'docs' is not installed")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", "docs", str(tmp_path)]
    run = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "long_running.html").exists()
