"""What is prepared at connect lasts as long as the connection; what a scope sets ends with it."""

import pytest
from psycopg2 import extensions
from psycopg2.extras import RealDictCursor
from simpycity.core import Raw


@pytest.fixture(params=["rollback", "discard"])
def reset(request):
    return request.param


@pytest.fixture
def prepared(make_manager, reset):
    """Makes a manager of one connection that a listener has prepared."""

    def prepared(prepare):
        manager = make_manager(pool_size=1, max_overflow=0, pool_reset=reset)
        manager.listen("connect", lambda event: prepare(event.connection))
        return manager

    return prepared


def in_scopes(manager, look, disturb=lambda: None):
    """What ``look`` returns in three scopes; ``disturb`` is called at the end of each."""
    seen = []
    for _ in range(3):
        with manager.scope("look"):
            seen.append(look())
            disturb()
    return seen


def show(setting):
    return lambda: Raw(f"SHOW {setting}")().fetchone()[0]


def test_read_only_lasts(prepared):
    manager = prepared(lambda link: link.set_session(readonly=True))
    assert in_scopes(manager, show("transaction_read_only")) == ["on"] * 3


def test_read_only_lasts_in_autocommit_mode(prepared):
    manager = prepared(lambda link: link.set_session(readonly=True, autocommit=True))
    assert in_scopes(manager, show("transaction_read_only")) == ["on"] * 3


@pytest.mark.parametrize("level", ["autocommit", "serializable"])
def test_the_isolation_level_of_the_settings_lasts(make_manager, reset, level):
    manager = make_manager(pool_size=1, max_overflow=0, pool_reset=reset, isolation_level=level)
    look = lambda: manager.handle().conn.autocommit  # noqa: E731
    assert in_scopes(manager, look) == [level == "autocommit"] * 3
    if level != "autocommit":
        assert in_scopes(manager, show("transaction_isolation")) == [level] * 3


def test_the_isolation_level_lasts(prepared):
    manager = prepared(lambda link: setattr(link, "isolation_level", "SERIALIZABLE"))
    assert in_scopes(manager, show("transaction_isolation")) == ["serializable"] * 3


def test_the_encoding_lasts(prepared):
    manager = prepared(lambda link: link.set_client_encoding("LATIN1"))
    look = show("client_encoding")
    disturb = lambda: manager.handle().conn.set_client_encoding("UTF8")  # noqa: E731
    assert in_scopes(manager, look, disturb) == ["LATIN1"] * 3
    with manager.scope("look"):
        assert Raw("SELECT 'é'")().fetchone()[0] == "é"


def test_type_casters_last_also_where_a_scope_has_its_own(prepared):
    as_number = extensions.new_type((25,), "NUMBER", lambda text, cursor: float(text))
    manager = prepared(lambda link: extensions.register_type(as_number, link))

    def disturb():
        manager.handle().conn.string_types.clear()

    look = lambda: Raw("SELECT '1.5'::text")().fetchone()[0]  # noqa: E731
    assert in_scopes(manager, look, disturb) == [1.5] * 3


def test_a_setting_and_a_prepared_statement_last(prepared):
    def prepare(link):
        with link.cursor() as cursor:
            cursor.execute("SET work_mem = '12MB'")
            cursor.execute("DEALLOCATE ALL")
            cursor.execute("PREPARE seven AS SELECT 7")
        link.commit()

    manager = prepared(prepare)
    assert in_scopes(manager, show("work_mem")) == ["12MB"] * 3
    assert in_scopes(manager, lambda: Raw("EXECUTE seven")().fetchone()[0]) == [7] * 3


@pytest.mark.parametrize("change", [
    lambda link: link.set_session(readonly=True),
    lambda link: setattr(link, "autocommit", True),
    lambda link: setattr(link, "isolation_level", "SERIALIZABLE"),
    lambda link: link.set_client_encoding("LATIN1"),
    lambda link: setattr(link, "cursor_factory", RealDictCursor),
    lambda link: link.string_types.update({25: extensions.UNICODE}),
])  # fmt: skip
def test_what_a_scope_changes_does_not_reach_the_next(make_manager, reset, change):
    manager = make_manager(pool_size=1, max_overflow=0, pool_reset=reset)

    def state():
        link = manager.handle().conn
        return (
            link.readonly, link.autocommit, link.isolation_level, link.encoding,
            link.cursor_factory, dict(link.string_types),
        )  # fmt: skip

    with manager.scope("before"):
        before = state()
        change(manager.handle().conn)
        assert state() != before
    with manager.scope("after"):
        assert state() == before
