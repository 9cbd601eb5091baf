"""A project that was made before there were migrations takes them up, as the page tells."""

import re

from pages import blocks, typed
from projects import create, paster, set_up
from simpycity.core import Raw

from simpycity_template import get_manager

TABLE = re.compile(r"(?ms)^CREATE TABLE .*?\);\n")


def old_project(folder, dsn):
    """A project as it was: the tables are in schema.sql, and websetup.py applies that file."""
    project = create(folder, "HelloWorld", f"dsn={dsn}")
    model = project / "helloworld" / "model"
    (first,) = (model / "migrations").iterdir()
    table = TABLE.search(first.read_text())[0].replace("TABLE note", "TABLE IF NOT EXISTS note")
    first.unlink()
    first.parent.rmdir()
    functions = (model / "schema.sql").read_text()
    (model / "schema.sql").write_text(f"{table}\n{functions}")
    (model / "meta.py").write_text(
        "from simpycity_template import get_manager\nmanager = get_manager('helloworld')\n"
    )
    (model / "__init__.py").write_text(
        "from helloworld.model.meta import manager\n"
        "def init_model(config):\n"
        "    manager.configure(config)\n"
    )
    (project / "helloworld" / "websetup.py").write_text(
        "from pathlib import Path\n"
        "from simpycity_template import schema\n"
        "from helloworld.config.environment import load_environment\n"
        "from helloworld.model.meta import manager\n"
        "def setup_app(command, conf, vars):\n"
        "    load_environment(conf.global_conf, conf.local_conf)\n"
        "    schema.apply(manager, Path(__file__).parent / 'model' / 'schema.sql')\n"
    )
    (project / "MANIFEST.in").write_text("include helloworld/model/*.sql\n")
    return project


def test_an_existing_project_takes_up_migrations_and_keeps_its_rows(tmp_path, dsn):
    project = old_project(tmp_path, dsn)
    set_up(project)
    set_up(project)
    manager = get_manager("the old project")
    manager.configure({"p.dsn": dsn}, "p.", False)
    try:
        add = Raw("SELECT note_add('Milk', '')", handle=manager.handle())
        with manager.transaction():
            add()
        model = project / "helloworld" / "model"
        functions = (model / "schema.sql").read_text()
        table = TABLE.search(functions)[0]
        (model / "migrations").mkdir()
        (model / "migrations" / "0001_note.sql").write_text(table)
        (model / "schema.sql").write_text(functions.replace(table, ""))
        for block in blocks("docs/schema.rst"):
            name, _, where = block.caption.partition(", ")
            if name:
                path = project / name
                before = path.read_text() if where == "at the end" else ""
                path.write_text(before + block.text)
        for block in blocks("docs/schema.rst", "console"):
            for command in typed(block.text):
                done = paster(*command.split()[1:], cwd=project)
                assert done.returncode == 0, done.stdout
        set_up(project)
        for line in blocks("docs/schema.rst", "text")[0].text.splitlines():
            assert (project / line.split()[0]).is_file()
        rows = Raw("SELECT title, author FROM note", handle=manager.handle())().fetchall()
        assert [list(row) for row in rows] == [["Milk", "unknown"]]
    finally:
        manager.cleanup()
        manager.dispose()
