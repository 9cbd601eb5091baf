"""`paster schema` shows what setup-app would apply, and what is not as the files say."""

import pytest
from projects import change, create, paster, set_up


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return create(tmp_path_factory.mktemp("paster_schema"), "HelloWorld")


@pytest.fixture
def project(made, dsn):
    """A project on an empty database."""
    change(made / "development.ini", "simpycity.dsn", dsn)
    (made / "helloworld/model/migrations/0002_author.sql").unlink(missing_ok=True)
    return made


def command(project, *options):
    done = paster("schema", "development.ini", *options, cwd=project)
    return done.returncode, done.stdout, done.stderr


def test_what_setup_app_would_apply_is_shown_until_it_is_applied(project):
    status, shown, _ = command(project)
    assert status == 0
    assert shown.splitlines()[0].endswith("model/migrations/0001_note.sql")
    assert shown.startswith("new ")
    assert "CREATE TABLE note (" in shown
    set_up(project)
    status, shown, _ = command(project)
    assert status == 0
    assert [line.split()[0] for line in shown.splitlines()] == ["applied", "applied"]
    schema = project / "helloworld/model/schema.sql"
    text = schema.read_text()
    schema.write_text(text + "-- more\n")
    try:
        assert "changed " in command(project)[1]
    finally:
        schema.write_text(text)


def test_files_that_setup_app_would_refuse_are_told(project):
    (project / "helloworld/model/migrations/0002_author.sql").write_text("SELECT 1;\nBEGIN;")
    status, shown, told = command(project)
    assert (status, shown) == (1, "")
    assert "0002_author.sql, line 2: BEGIN: the file is run in one transaction" in told


def test_check_compares_and_ends_with_1_where_something_is_different(project, server):
    set_up(project)
    assert command(project, "--check") == (0, "The database is as the files say.\n", "")
    (project / "helloworld/model/migrations/0002_author.sql").write_text(
        "ALTER TABLE note ADD COLUMN author text;"
    )
    status, shown, _ = command(project, "--check")
    assert status == 1
    first, second = shown.splitlines()
    assert first.startswith("not applied yet: ")
    assert second == "only in the files: column note.author text"


def test_a_database_that_cannot_be_reached_is_told_with_status_2(project, tmp_path):
    change(project / "development.ini", "simpycity.dsn", f"host={tmp_path}")
    status, shown, told = command(project, "--check")
    assert (status, told) == (2, "")
    assert "does not tell about the schema of 'helloworld'" in shown
    assert "No such file or directory" in shown
