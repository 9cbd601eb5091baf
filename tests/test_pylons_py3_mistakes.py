"""What `paster` says of mistakes: one sentence, and no traceback."""

import pytest
from projects import create, paster


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that no test changes for good."""
    return create(tmp_path_factory.mktemp("mistakes"), "HelloWorld")


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
