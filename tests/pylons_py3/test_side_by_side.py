"""What Python 2.7 answers and what ours answers, side by side; `python2/README.txt` says how it was asked."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from packages import installed

PYTHON2 = Path(__file__).with_name("python2")

# Where the answers differ, and why that stays so. Each is needed.
HELPERS = {
    r'b"by"': "Bytes are not text. HTML and literals take them while they are ASCII; nothing else does.",
    r"(urlify|iri_to_uri|HTML\.comment|mail_to|format_number)\(.*\\u00f6": (
        "An error of Python 2, where a text was encoded as ASCII."
    ),
    r"(update_params|make_page_url|PageURL)\(.*\\u00f6": (
        "Python 2 wrote a question mark for each letter that is not ASCII."
    ),
    r"HTML\.comment\(.*>": "A text could end the comment, and go on with a script.",
    r'mail_to\(.*[&<].*encode="hex"': "What is no letter was HTML, and not escaped.",
    r'mail_to\(.*\\n.*encode="javascript"': "A line break ended the string of the script.",
    r"textilize\(": "The textile package is another implementation: it writes a tab before a block.",
    r'literal\("<?a<.*\.(partition|rpartition|strip)\("<"\)': (
        "Today's MarkupSafe does not escape the text that is looked for."
    ),
    r"in constants\.country_codes": "Letters that are not ASCII were the characters of their bytes.",
    r"iri_to_uri\((5|1\.5|True)\)": "Another exception of what is no text.",
    r"(urlify|iri_to_uri)\(literal": "What quotes an address returns text.",
}
VISITS = {
    r"HEAD /hello/(resp|resp_json|app|data|wsgi_fn) ": (
        "An application that an action returns answers HEAD itself; it was not asked."
    ),
    r"HEAD /hello/number ": "What is no body is an error, also where no body is sent.",
    r"/hello/resp_json_u[/? ]": "Text is UTF-8 where there is no charset; unicode was an error.",
    r"/(hello|more)/(abort_|abort_h|abort_html|notfound|raise_|_private|_json)\?.*a=%F6|\xf6=\xe4": "What is not UTF-8 raised an error outside of the application.",
    r"/hello/redir(2|_u)[/? ]": "The page shows the address as it reads, with quotes that are quoted.",
    r"/hello/langs[/? ]|/more/lang_of[/? ]": "WebOb 1.7 took the default language apart, and took any text for one.",
    r"/hello/match[/? ]": "WebOb 1.7 had no first_match any more, and Pylons failed.",
    r"/hello/bcached/%C3%B6 ": "The key of a cache may be any text.",
    r"/hello/secure2\?": "The page of a redirect lost what looks like a tag in its address.",
    r"/hello/lazysort[/? ]": "They had the order of their places in memory.",
    r"/hello/signed .*(s=abc|session)": "What is no base 64 raised an error.",
    r"/hello/(post_|params) .*multipart": "An empty file is bytes, and a name is text.",
    r"/more/plain([/? ](?!xx|en|%C3|\.\.))": "What gettext gave was bytes; it is text.",
    r"/more/(unicode_list|tuple_|generator)[/? ]": (
        "Pieces of text were an error of the server where they are not ASCII."
    ),
    r"/more/person.*(ages-0=y|name=B&name=C)": (
        "FormEncode 2 writes quotes as HTML; and there is no u in front of a text in a list."
    ),
    r"/more/exception[/? ]": "WebOb 1.7 had no `exception` any more; applications of Pylons raise it.",
    r"/more/numbers .*n=2&t=nope": "FormEncode 2 shows the form of a date in capitals.",
}


# Where what a server hands to the application is another thing.
SERVED = {
    "paste": {
        r"GET /more/request_more": "A request without a body has a length of 0.",
        r" /hello//show": "Two slashes are one.",
    },
    "waitress": {r"\?\xf6=\xe4": "An address that is not ASCII is refused."},
}
OF_ALL_SERVERS = {
    r" //hello/show": "Two slashes at the beginning are one.",
}


def is_of(differences, asked):
    return any(re.search(pattern, asked) for pattern in differences)


def as_text(visit):
    """A request as one line, to search in."""
    method, headers = visit.get("method", "GET"), visit.get("headers", "")
    more = (visit.get(name, "") for name in ("jar", "sessions", "body"))
    return f"{method} {visit['url']} {headers} {' '.join(more)}"


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """Where the application keeps its sessions: beside the folders of other tests."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("sessions"))
    yield {**os.environ, "TMPDIR": tempfile.tempdir}
    tempfile.tempdir = before


@pytest.fixture(scope="module")
def modules(temporary):
    """The modules of `python2`, of which the names are not for all tests."""
    sys.path.insert(0, str(PYTHON2))
    import ask
    import evaluate
    import helpers
    import serve
    import visits

    yield {
        "ask": ask,
        "evaluate": evaluate,
        "helpers": helpers,
        "serve": serve,
        "visits": visits,
    }
    sys.path.remove(str(PYTHON2))
    logging.getLogger("pylons").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def visited(modules):
    """The requests, and what ours answers."""
    logging.getLogger("pylons").setLevel(logging.CRITICAL)
    visits = list(modules["visits"].requests())
    # As JSON has it.
    return visits, json.loads(json.dumps(modules["serve"].answers(visits)))


@pytest.fixture(scope="module", params=["helpers", "visits"])
def asked(request, modules, visited):
    """What was asked, its differences, what Python 2.7 answered, and what ours does."""
    recorded = json.loads((PYTHON2 / f"{request.param}.json").read_text())
    if request.param == "helpers":
        expressions = modules["helpers"].expressions()
        ours = modules["evaluate"].answers(expressions)
        return list(zip(expressions, recorded, ours, strict=True)), HELPERS
    visits, ours = visited
    return list(zip(map(as_text, visits), recorded, ours, strict=True)), VISITS


def test_the_answers_are_those_of_python_2(asked):
    answers, differences = asked
    assert len(answers) > 1000
    wrong = [one for one in answers if one[1] != one[2] and not is_of(differences, one[0])]
    assert wrong == []


def test_each_difference_is_still_one(asked):
    answers, differences = asked
    for pattern in differences:
        others = [one for one in differences if one != pattern]
        assert any(
            recorded != ours
            for question, recorded, ours in answers
            if re.search(pattern, question) and not is_of(others, question)
        ), pattern


@pytest.mark.process
@pytest.mark.parametrize("name", sorted(SERVED))
def test_the_answers_are_the_same_by_a_real_server(name, modules, visited, temporary):
    asked = [
        (visit, ours)
        for number, (visit, ours) in enumerate(zip(*visited, strict=True))
        if number % 2 == sorted(SERVED).index(name) or depends_on_others(visit)
    ]
    visits = [visit for visit, _ in asked]
    # What goes wrong is in its errors, too.
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(PYTHON2 / "serve.py"), name],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=temporary,
    )
    try:
        served = list(modules["ask"].answers(int(server.stdout.readline()), visits))
    finally:
        server.kill()
        server.communicate()
    differences = {**SERVED[name], **OF_ALL_SERVERS}
    wrong = [
        (visit, by_server, ours)
        for (visit, ours), by_server in zip(asked, served, strict=True)
        if not is_of(differences, as_text(visit)) and sent(visit, by_server) != sent(visit, ours)
    ]
    assert wrong == []


def depends_on_others(visit):
    """Whether its answer does so; of the other requests each of the two servers gets every second one."""
    return "jar" in visit or "cached" in visit["url"]


def sent(visit, answer):
    """What arrives of an answer: the time of the server, and to HEAD no body."""
    if visit.get("method") == "HEAD":
        return answer["status"]
    if "headers" not in answer:
        return answer
    headers = [[name, value] for name, value in answer["headers"] if name != "date"]
    # As JSON has it.
    return {**json.loads(json.dumps(answer)), "headers": headers}


@pytest.fixture(scope="module")
def python2(temporary):
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
    packages = installed(PYTHON2 / "requirements.txt", program)
    environment = {**temporary, "PYTHONPATH": str(packages)}

    def run(script, given):
        done = subprocess.run(
            # Byte code of Python 2 would lie beside the sources.
            [program, "-B", str(PYTHON2 / script)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.process
@pytest.mark.slow(seconds=20)
def test_the_recorded_answers_of_helpers_are_those_of_python_2(python2, modules):
    recorded = json.loads((PYTHON2 / "helpers.json").read_text())
    assert python2("evaluate.py", modules["helpers"].expressions()) == recorded


@pytest.mark.process
def test_the_recorded_answers_of_the_application_are_those_of_python_2(python2, modules):
    recorded = json.loads((PYTHON2 / "visits.json").read_text())
    visits = list(modules["visits"].requests())
    answers = python2("serve.py", visits)
    random = r"/hello/lazysort[/? ]"
    differ = [
        one
        for one in zip(map(as_text, visits), answers, recorded, strict=True)
        if one[1] != one[2] and not re.search(random, one[0])
    ]
    assert differ == []
