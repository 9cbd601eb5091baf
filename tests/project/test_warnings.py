"""A project works where each warning is an error, as ``PYTHONWARNINGS=error`` makes it."""

import pytest
from projects import create, paster

pytestmark = pytest.mark.process


def test_a_project_is_created_set_up_and_asked_where_warnings_are_errors(
    tmp_path, server, monkeypatch
):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    project = create(tmp_path, "HelloWorld", f"dsn={server.create_database()}")
    set_up = paster("setup-app", "development.ini", cwd=project)
    assert set_up.returncode == 0, set_up.stderr
    done = paster("shell", cwd=project, input="print(app.get('/notes').status)\n")
    assert "200" in done.stdout and "Warning" not in done.stderr, done.stdout + done.stderr
    made = paster("make-config", "HelloWorld", "production.ini", cwd=project)
    assert (made.returncode, made.stderr) == (0, "")
