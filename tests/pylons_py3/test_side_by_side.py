"""What Python 2.7 answers and what ours answers, side by side; `python2/README.txt` says how it was asked."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PYTHON2 = Path(__file__).with_name("python2")
sys.path.insert(0, str(PYTHON2))

from evaluate import IMPORTS, evaluate  # noqa: E402
from expressions import expressions  # noqa: E402

# Where the answers differ, and why that stays so. Each is needed.
DIFFERENCES = {
    r'b"by"': "Bytes are not text. HTML and literals take them while they are ASCII; nothing else does.",
    r"(urlify|iri_to_uri|HTML\.comment|mail_to|format_number)\(.*\\u00f6": (
        "An error of Python 2, where a text was encoded as ASCII."
    ),
    r"(update_params|make_page_url|PageURL)\(.*\\u00f6": (
        "Python 2 wrote a question mark for each letter that is not ASCII."
    ),
    r"textilize\(": "The textile package is another implementation: it writes a tab before a block.",
    r"(html_escape|cgi_escape)\(literal": (
        "Today's MarkupSafe escapes what replaces, and not what is replaced. What comes out is safe."
    ),
    r"iri_to_uri\((5|1\.5|True)\)": "Another exception of what is no text.",
    r"(urlify|iri_to_uri)\(literal": "What quotes an address returns text.",
}


def differs(expression: str) -> bool:
    return any(re.search(pattern, expression) for pattern in DIFFERENCES)


@pytest.fixture(scope="module")
def ours():
    names = {}
    exec(IMPORTS, names)
    return {one: evaluate(one, names) for one in expressions()}


@pytest.fixture(scope="module")
def recorded():
    answers = json.loads((PYTHON2 / "helpers.json").read_text())
    return dict(zip(expressions(), answers, strict=True))


def test_helpers_answer_as_on_python_2(ours, recorded):
    assert len(recorded) > 2000
    wrong = {
        one: (recorded[one], ours[one])
        for one in recorded
        if ours[one] != recorded[one] and not differs(one)
    }
    assert wrong == {}


@pytest.mark.parametrize("pattern", DIFFERENCES)
def test_each_difference_of_the_helpers_is_still_one(ours, recorded, pattern):
    others = [one for one in DIFFERENCES if one != pattern]
    assert any(
        ours[one] != recorded[one]
        for one in recorded
        if re.search(pattern, one) and not any(re.search(other, one) for other in others)
    )


@pytest.fixture(scope="module")
def python2(pytestconfig):
    """Runs a program of Python 2.7 with the packages of that time."""
    # pyenv's own, because its shim in the PATH runs only the version that is chosen.
    homes = [
        os.environ.get("PYTHON2"),
        *map(str, Path.home().glob(".pyenv/versions/2.7*/bin/python")),
    ]
    homes.append(shutil.which("python2.7"))
    program = next(filter(None, homes), None)
    if program is None:
        pytest.skip("needs a Python 2.7; PYTHON2 names one")
    packages = Path(pytestconfig.cache.mkdir("python2"))
    if not (packages / "pylons").exists():
        pip = [program, "-m", "pip", "install", "--quiet", "--target", str(packages)]
        done = subprocess.run(
            [*pip, "-r", str(PYTHON2 / "requirements.txt")], capture_output=True, text=True
        )
        if not (packages / "pylons").exists():
            pytest.skip(f"the packages of Python 2.7 cannot be installed: {done.stderr[-200:]}")
    environment = {**os.environ, "PYTHONPATH": str(packages)}

    def run(script, given):
        done = subprocess.run(
            [program, str(PYTHON2 / script)],
            input=given,
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.process
def test_what_is_recorded_is_what_python_2_answers(python2, recorded):
    assert json.loads(python2("evaluate.py", json.dumps(list(recorded)))) == list(recorded.values())
