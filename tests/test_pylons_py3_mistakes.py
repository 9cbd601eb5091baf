"""What `paster` says of mistakes: one sentence, and no traceback."""

import pytest
from projects import answers, change, create, paster, served, wait_until


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that no test changes for good, and for which no test needs its database."""
    return create(tmp_path_factory.mktemp("mistakes"), "HelloWorld", "dsn=dbname=none")


@pytest.fixture
def requirements(project):
    """The file of what the project needs, as it was again after the test."""
    file = project / "HelloWorld.egg-info" / "requires.txt"
    before = file.read_text()
    yield file
    file.write_text(before)


def refusal(folder, *arguments):
    """Return the one sentence with which paster refuses."""
    done = paster(*arguments, cwd=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr.strip()


# --- what is not installed ---


def test_a_requirement_that_is_not_installed_is_named(project, requirements):
    requirements.write_text("nothing-of-that-name>=2\n" + requirements.read_text())
    assert refusal(project, "routes") == (
        "HelloWorld needs nothing-of-that-name>=2, which is not installed: "
        'pip install "nothing-of-that-name>=2"'
    )


def test_a_requirement_of_another_version_is_named(project, requirements):
    requirements.write_text("Pylons>=2\n" + requirements.read_text())
    assert refusal(project, "routes") == (
        'HelloWorld needs Pylons>=2, and 1.0.3 is installed: pip install "Pylons>=2"'
    )


# --- serve --reload ---


def test_serve_with_reload_waits_until_a_mistake_is_mended(project):
    ini, helpers = project / "development.ini", project / "helloworld/lib/helpers.py"
    log = project / "serve.log"

    def touched(file):
        # Until the reloader has seen a file once, it takes a change for its beginning.
        file.touch()
        return log.read_text()

    with served(project, "development.ini", "--reload") as address:
        right = helpers.read_text()
        helpers.write_text(f"{right}\nnot_there\n")
        wait_until(lambda: "NameError: " in touched(helpers))
        helpers.write_text(f"{right}\ndef\n")
        wait_until(lambda: "SyntaxError: " in touched(helpers))
        helpers.write_text(right)
        wait_until(lambda: touched(helpers) and answers(address))
        change(ini, "simpycity.hold_warning", "soon")
        # A sentence; the last line of a traceback begins with the class.
        wait_until(lambda: f"\n{ini}: simpycity.hold_warning" in touched(ini))
        change(ini, "simpycity.hold_warning", "10")
        wait_until(lambda: touched(ini) and answers(address))
