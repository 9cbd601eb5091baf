"""Simpycity's models: loading, methods, debug text, and models made of the rows of a query."""

import pytest
from psycopg2 import extensions
from simpycity import NotFoundError, config
from simpycity.core import (
    Function,
    FunctionError,
    FunctionSingle,
    FunctionTyped,
    Property,
    Query,
    QuerySingle,
    Raw,
)
from simpycity.model import SimpleModel
from support import calls_of

SCHEMA = """
CREATE TABLE note (id int PRIMARY KEY, title text, pages int);
INSERT INTO note SELECT n, 'note ' || n, nullif(n, 2) FROM generate_series(1, 3) n;
CREATE FUNCTION note_get(id int) RETURNS SETOF note
LANGUAGE sql AS $$ SELECT * FROM note WHERE note.id = note_get.id $$;
CREATE FUNCTION note_shown(id int, title text DEFAULT 'no title', mark text DEFAULT '!')
RETURNS text LANGUAGE sql AS $$ SELECT concat_ws('|', id, title, mark) $$;
CREATE FUNCTION notes() RETURNS SETOF note LANGUAGE sql AS $$ SELECT * FROM note ORDER BY id $$;
CREATE FUNCTION note_strict(id int) RETURNS note LANGUAGE plpgsql AS $$
DECLARE found note; BEGIN
SELECT * INTO STRICT found FROM note WHERE note.id = note_strict.id; RETURN found; END $$;
CREATE FUNCTION how_many() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM note $$;
CREATE TYPE mood AS ENUM ('happy', 'sad');
"""


class Note(SimpleModel):
    table = ["id", "title", "pages"]
    __load__ = FunctionSingle("note_get", ["id"])
    shown = FunctionSingle("note_shown", ["id", "title", "mark"])
    same = Query("note", ["id", "author"])
    how_many = Property("how_many")


class Lazy(SimpleModel):
    table = ["id", "title", "pages"]
    __lazyload__ = FunctionSingle("note_get", ["id"])


class Strict(SimpleModel):
    table = ["id", "title"]
    get = Query("note", ["id"])
    __load__ = FunctionSingle("note_strict", ["id"])


@pytest.fixture
def manager(make_manager):
    manager = make_manager()
    with manager.transaction():
        manager.handle().execute(SCHEMA)
    return manager


def statements_of(manager, work):
    """What ``work()`` returns, and how many statements it sent."""
    sent = []
    # Whoever takes a connection from now on is listened to.
    manager.cleanup()
    manager.listen("statement", sent.append)
    return work(), len(sent)


class TestMethods:
    def test_an_argument_that_is_not_given_is_the_models_attribute(self, manager):
        assert Note(1).shown() == ["1|note 1|!"]
        assert Note(1).shown(title="given", mark="?") == ["1|given|?"]
        assert Note(2).how_many == 3

    def test_an_argument_that_nobody_gives_is_not_sent(self, manager):
        class Untitled(SimpleModel):
            table = ["id"]
            shown = FunctionSingle("note_shown", ["id", "title", "mark"])

        assert Untitled(id=1).shown() == ["1|no title|!"]
        assert Untitled(id=1).shown(mark="?") == ["1|no title|?"]

    def test_a_query_lacks_an_argument_that_nobody_gives(self, manager):
        with pytest.raises(TypeError, match=r"'note' takes 2 arguments .* without 'author'"):
            Note(1).same()

    def test_a_column_that_is_null_is_sent_as_null(self, manager):
        class Page(SimpleModel):
            table = ["id", "title"]
            shown = FunctionSingle("note_shown", ["id", "title"])

        assert Page(id=1).shown() == ["1|!"]

    def test_arguments_are_given_by_name(self, manager):
        with pytest.raises(TypeError, match="takes its arguments by name only") as error:
            Note(1).shown("a title")
        # What applications that know Simpycity catch.
        assert isinstance(error.value, FunctionError)

    def test_the_callers_options_stay_as_they_are(self, manager):
        options = {"columns": ["id"]}
        assert Strict(id=1).get(options=options).fetchone() == [1]
        assert options == {"columns": ["id"]}


class TestLoading:
    def test_a_row_that_there_is_not_is_told(self, manager):
        with pytest.raises(NotFoundError):
            Strict(9)
        manager.rollback()
        assert Strict(id=1).title == "note 1"

    def test_a_column_is_loaded_at_its_first_use(self, manager):
        lazy = Lazy(id=2)
        assert statements_of(manager, lambda: (lazy.title, lazy.pages)) == (("note 2", None), 1)

    def test_no_debug_text_is_made_of_a_value(self, manager):
        class Unprintable:
            def __repr__(self):
                raise AssertionError("its text was made")

        note = Note(1)
        note.title = Unprintable()
        assert note.title is vars(note)["title"]
        assert SimpleModel(note.title).table == []
        assert note.shown(title="a").pop() == "1|a|!"

    def test_debug_says_what_is_called(self, manager, monkeypatch, capsys):
        monkeypatch.setattr(config, "debug", True)
        Note(1).shown(mark="?")
        assert "note_shown() of Note is called with {'mark': '?'}" in capsys.readouterr().out

    def test_reading_an_attribute_calls_one_python_function(self, manager):
        note = Note(1)
        python, _ = calls_of(lambda: note.title)
        # The lambda is another.
        assert python == 2


class TestRowsAsModels:
    def test_a_query_whose_callback_is_a_model_returns_models(self, manager):
        notes = Function("notes", callback=Note)
        found, sent = statements_of(manager, lambda: notes().fetchall())
        assert [type(note) for note in found] == [Note] * 3
        assert [(note.id, note.title, note.pages) for note in found] == [
            (1, "note 1", 1),
            (2, "note 2", None),
            (3, "note 3", 3),
        ]
        assert sent == 1
        assert found[0].shown() == ["1|note 1|!"]

    def test_each_way_to_fetch_returns_models(self, manager):
        cursor = Function("notes", callback=Note)()
        assert cursor.fetchone().id == 1
        assert [note.id for note in cursor.fetchmany(1)] == [2]
        assert [note.id for note in cursor] == [3]
        assert cursor.fetchone() is None
        assert QuerySingle("note", ["id"], callback=Note)(2).title == "note 2"

    def test_they_are_those_that_the_constructor_makes(self, manager):
        made = QuerySingle("note", ["id"], callback=Lazy)(1)
        built = Lazy(id=1)
        assert built.title
        _ = built.handle, made.handle
        assert vars(made) == vars(built)

    def test_a_column_that_the_query_lacks_is_loaded_lazily(self, manager):
        (one, *_) = Raw("SELECT 'x' AS other, id FROM note ORDER BY id", callback=Lazy)().fetchall()
        assert "other" not in vars(one)
        assert statements_of(manager, lambda: (one.title, one.pages)) == (("note 1", 1), 1)

    def test_a_column_that_nobody_loads_is_none(self, manager):
        assert Raw("SELECT 1 AS id", callback=Note)().fetchone().title is None

    def test_values_of_the_schemas_types_are_read(self, manager):
        class Feeling(SimpleModel):
            table = ["moods"]

        feelings = Raw("SELECT ARRAY['sad'::mood] AS moods", callback=Feeling)
        assert feelings().fetchone().moods == ["sad"]

    def test_a_model_with_a_constructor_of_its_own_gets_the_row(self, manager):
        class Own(SimpleModel):
            table = ["id"]

            def __init__(self, row=None):
                super().__init__(id=row["id"] * 10)

        found = Query("note", ["id"], callback=Own)(2).fetchall()
        assert [one.id for one in found] == [20]

    def test_a_value_that_a_base_type_has_fills_its_columns(self, manager):
        class Base(SimpleModel):
            table = ["id"]

        class Extended(Base):
            table = ["id", "title"]

        base = Base(id=7)
        extended = Extended(base_=base, title="T")
        assert (extended.id, extended.title) == (7, "T")

    def test_models_of_a_registered_type_are_made_by_their_constructor(self, manager):
        class Registered(SimpleModel):
            table = ["id", "title", "pages"]

        typed = FunctionTyped("notes")
        caster = Registered.register_composite("note", manager.handle())
        try:
            assert [(one.id, one.pages) for one in typed().fetchall()] == [
                (1, 1),
                (2, None),
                (3, 3),
            ]
        finally:
            # Simpycity registers it for the whole process.
            for known in (caster.typecaster, caster.array_typecaster):
                for oid in known.values:
                    extensions.string_types.pop(oid, None)
