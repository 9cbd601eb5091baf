"""WebHelpers' own tests, from the source distribution of WebHelpers 1.3, on Python 3.

They are Python 2 code, and translated like WebHelpers itself.
"""

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from chapters import ALL_FIXERS
from sdist import unpack

from simpycity_template.pylons_py3.translation import to_python3

pytestmark = pytest.mark.process

TESTS = 177

# What does not pass, and why.
FAILING = {
    "test_converters.test_textilize": "The textile package writes a tab before a block.",
    "test_escapes.test_html_escape": "Its object has __unicode__, which nothing asks for any more.",
    "test_feedgenerator.test_geo_point_feed": "It compares the order of a dictionary of Python 2.",
    "test_feedgenerator.test_geo_point_feed_longitude_first": "The same.",
    "test_html.test_literal_dict": "It has the u in front of the repr of a text.",
    "test_paginate.test_many_pages": "It compares the order of a dictionary of Python 2.",
    "test_paginate.TestSQLAlchemyCollectionTypes.test_sqlalchemy_orm": (
        "It binds a MetaData to a database, which SQLAlchemy 2 does not know."
    ),
}


def test_webhelpers_own_tests_pass(tmp_path):
    folder = unpack("WebHelpers", "1.3", tmp_path)
    for source in (folder / "tests").glob("*.py"):
        text = to_python3(source.read_text(encoding="utf-8"), str(source), ALL_FIXERS)
        # Outside of unittest only nose calls setUp; pytest's names are others.
        text = text.replace(
            "(object):\n    def setUp(self):", "(object):\n    def setup_method(self):"
        )
        text = text.replace("/tmp/feed", str(tmp_path / "feed"))
        source.write_text(text, encoding="utf-8")
    # Those that are installed are tested.
    (folder / "webhelpers").rename(folder / "as_it_came")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:warnings"]
        + ["--junit-xml=results.xml", "tests"],
        cwd=folder,
        # Some leave a folder behind.
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
        stdout=subprocess.DEVNULL,
    )
    cases = ElementTree.parse(folder / "results.xml").findall(".//testcase")
    names = {
        f"{case.get('classname')}.{case.get('name')}".removeprefix("tests."): case for case in cases
    }
    assert len(cases) == TESTS
    assert {name for name, case in names.items() if len(case)} == set(FAILING)
