"""Every setting and every public call that is given nonsense answers in one clear sentence."""

import threading

import psycopg2
import pytest
from simpycity.core import Function, FunctionSingle, Query, QuerySingle, Raw
from simpycity.handle import Handle

from simpycity_template import Manager, get_manager
from simpycity_template.settings import Settings

DSN = "host=localhost dbname=notes"

WHOLE = "it must be a whole number of connections, 0 or more"
SECONDS = "it must be a number of seconds, 0 or more"
LEVELS = (
    "it must be one of autocommit, read uncommitted, read committed, repeatable read, serializable"
)
NUMBERS = {
    "pool_size": WHOLE,
    "max_overflow": WHOLE,
    "pool_timeout": SECONDS,
    "pool_recycle": SECONDS + ", or -1",
    "hold_warning": SECONDS,
}
NO_NUMBERS = ["", " ", "five", "1,5", "5 s", "0x10", "nan", "inf", "-2", None, True, [5], {}, b"5x"]

WRONG_NUMBERS = [
    ({"dsn": DSN, key: value}, f"simpycity.{key} is {value!r}: {sentence}")
    for key, sentence in NUMBERS.items()
    for value in NO_NUMBERS
]
WRONG_LEVELS = [
    ({"dsn": DSN, "isolation_level": value}, f"simpycity.isolation_level is {value!r}: {LEVELS}")
    for value in ["snapshot", "7", 7, -1, True, 1.5, [], "read  only", "None"]
]
WRONG_RESETS = [
    (
        {"dsn": DSN, "pool_reset": value},
        f"simpycity.pool_reset is {value!r}: it must be one of rollback, discard",
    )
    for value in ["", "none", "commit", None, True, 0, "DISCARD ALL"]
]
MISSPELT = [
    (
        {"dsn": DSN, given: "1"},
        f"simpycity.{given} is not a setting: did you mean simpycity.{meant}?",
    )
    for given, meant in {
        "pool_sise": "pool_size",
        "poolsize": "pool_size",
        "max_overflows": "max_overflow",
        "pool_time_out": "pool_timeout",
        "recycle": "pool_recycle",
        "hold_warnings": "hold_warning",
        "isolation": "isolation_level",
        "passwort": "password",
        "Port": "port",
        "dbs": "dsn",
    }.items()
]
WRONG_ADDRESSES = [
    ({}, "simpycity.dsn is not set: give a libpq DSN such as 'host=localhost dbname=mine'"),
    ({"dsn": None}, "simpycity.dsn is not set"),
    ({"dsn": "  "}, "simpycity.dsn is not set"),
    ({"host": ""}, "simpycity.dsn is not set"),
    ({"dsn": DSN, "host": "db"}, "simpycity.dsn and simpycity.host are both set"),
    ({"dsn": DSN, "port": 5432}, "simpycity.dsn and simpycity.port are both set"),
    ({"dsn": DSN, "database": "x", "user": "me"}, "simpycity.dsn and simpycity.user are both set"),
    ({"dsn": DSN, "user": "x"}, "simpycity.dsn and simpycity.user are both set"),
    ({"dsn": DSN, "password": "x"}, "simpycity.dsn and simpycity.password are both set"),
    ({"dsn": "embedded:"}, "simpycity.dsn is 'embedded:': name the directory"),
    ({"dsn": "embedded:/x", "port": 1}, "simpycity.dsn and simpycity.port are both set"),
    ({"dsn": "localhost"}, "simpycity.dsn is 'localhost', which libpq cannot parse"),
    ({"dsn": "host"}, "simpycity.dsn is 'host', which libpq cannot parse"),
    ({"dsn": "hots=db"}, "'hots' in it, which libpq does not know (did you mean host?): write 'host="),
    ({"dsn": "host=db dbname='x"}, "which libpq cannot parse"),
    ({"dsn": "postgresql://[::1/x"}, "which libpq cannot parse"),
    ({"dsn": "postgresql://db/x?frob=1"}, "has 'frob' in it, which libpq does not know"),
    ({"dsn": 7}, "simpycity.dsn is '7', which libpq cannot parse"),
    ({"dsn": DSN, "pool_size": 0, "max_overflow": 0}, "are both 0, so no connection could ever be"),
    ({"colour": "red"}, "simpycity.colour is not a setting; the settings are simpycity.dsn"),
    ({"": "red"}, "simpycity. is not a setting"),
]  # fmt: skip

WRONG_SETTINGS = [
    *WRONG_NUMBERS, *WRONG_LEVELS, *WRONG_RESETS, *MISSPELT, *WRONG_ADDRESSES,
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "sentence"), WRONG_SETTINGS, ids=[str(given) for given, _ in WRONG_SETTINGS]
)
def test_a_wrong_setting_is_told(given, sentence):
    with pytest.raises(ValueError) as error:
        Settings.from_config({f"simpycity.{key}": value for key, value in given.items()})
    message = str(error.value)
    assert sentence in message
    assert "\n" not in message


WRONG_CALLS = [
    (lambda m: get_manager(""), ValueError, "a manager's name is '': it must be a text such as"),
    (lambda m: get_manager("  "), ValueError, "a manager's name is '  '"),
    (lambda m: get_manager(None), ValueError, "a manager's name is None"),
    (lambda m: get_manager(7), ValueError, "a manager's name is 7"),
    (lambda m: get_manager(b"x"), ValueError, "a manager's name is b'x'"),
    (lambda m: Manager(None), ValueError, "a manager's name is None"),
    (lambda m: m.configure(None), TypeError, "settings are of type NoneType: they must"),
    (lambda m: m.configure("x.ini"), TypeError, "settings are of type str: they must be a mapping"),
    (lambda m: m.configure([1]), TypeError, "settings are of type list: they must be a mapping"),
    (lambda m: m.configure({}, prefix=None), TypeError, "prefix is of type NoneType: it must be a"),
    (lambda m: m.configure({"db.dsn": "dbname=x"}, prefix="db"), ValueError, "its dot, 'db.'"),
    (lambda m: m.configure({}, prefix="db."), ValueError, "db.dsn is not set"),
    (lambda m: Manager("new").open(), RuntimeError, "manager 'new' has no settings yet: call its"),
    (lambda m: Manager("new").transaction(), RuntimeError, "has no settings yet"),
    (lambda m: Manager("new").dsn(), RuntimeError, "has no settings yet"),
    (lambda m: m.open("snapshot"), ValueError, f"isolation_level is 'snapshot': {LEVELS}"),
    (lambda m: m.open(9), ValueError, f"isolation_level is 9: {LEVELS}"),
    (lambda m: m.open(True), ValueError, f"isolation_level is True: {LEVELS}"),
    (lambda m: m.scope(None), TypeError, "the label of a scope is None: it must be a text"),
    (lambda m: m.scope(7), TypeError, "the label of a scope is 7"),
    (lambda m: m.scope(print), TypeError, "the label of a scope is <built-in function print>"),
    (lambda m: Handle(config=m.config, isolation_level="x"), ValueError, "isolation_level is 'x'"),
    (lambda m: Function("f", ["a"])(1, 2), TypeError, "f() takes 1 argument (a), but 2 were given"),
    (lambda m: Function("f", ["a", "b"])(1), TypeError, "f() was called without 'b', and PostgreSQL"),
    (lambda m: Function("f", ["a"])(), TypeError, "f() was called without 'a', and PostgreSQL"),
    (lambda m: Query("t", ["a"])(b=1), TypeError, "no argument 'b'"),
    (lambda m: FunctionSingle("generate_series", ["a", "b"])(1, 0), Exception, "'generate_series' found 0 rows"),
    (lambda m: QuerySingle("generate_series(1, 3)")(), Exception, "found 3 rows, where exactly one is expected"),
    (lambda m: Raw("SELECT frob")(), psycopg2.Error, 'column "frob" does not exist'),
    (lambda m: Function("frob")(), psycopg2.Error, "function frob() does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "sentence"), WRONG_CALLS, ids=[sentence for _, _, sentence in WRONG_CALLS]
)
def test_a_wrong_call_is_told(manager_in_use, call, kind, sentence):
    with pytest.raises(kind) as error:
        call(manager_in_use)
    assert sentence in str(error.value).replace("\n", " ")


@pytest.fixture
def manager_in_use(server):
    manager = get_manager("bad input")
    manager.configure({"simpycity.dsn": server.admin_dsn})
    yield manager
    manager.cleanup()
    manager.dispose()
    # Nothing that was refused has begun anything.
    assert manager.status() == []
    assert not [one for one in threading.enumerate() if "hold_warning" in one.name]


def test_there_are_a_hundred_of_them():
    assert len(WRONG_SETTINGS) + len(WRONG_CALLS) >= 100
