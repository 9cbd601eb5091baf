"""Wrong settings are told at start-up, in one sentence that names the key and the value."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn

from simpycity_template.pylons_py3.restricted import LOOPBACK
from simpycity_template.settings import Settings

DSN = "host=localhost dbname=notes"


def settings(**values):
    return Settings.from_config({f"simpycity.{key}": value for key, value in values.items()})


def test_defaults_are_those_of_sqlalchemys_pool():
    assert settings(dsn=DSN) == Settings(
        dsn=DSN,
        pool_size=5,
        max_overflow=10,
        pool_timeout=30,
        pool_recycle=3600,
        pool_reset="rollback",
        isolation_level=None,
        hold_warning=0,
    )


def test_text_from_an_ini_file_becomes_numbers():
    given = settings(dsn=DSN, pool_size=" 2 ", pool_timeout="0.5", pool_recycle="-1")
    assert (given.pool_size, given.pool_timeout, given.pool_recycle) == (2, 0.5, -1)


def test_keys_of_other_prefixes_are_left_alone():
    config = {"simpycity.dsn": DSN, "cache_dir": "/tmp", 7: "seven", "simpycityx": 1}
    assert Settings.from_config(config).dsn == DSN
    assert Settings.from_config({"reports.dsn": DSN, **config}, "reports.").dsn == DSN


def test_simpycitys_own_names_make_a_dsn():
    given = settings(host="db", port=5433, database="notes", user="me", password="p w'd")
    assert "dbname=notes" in given.dsn and "port=5433" in given.dsn


def test_a_password_keeps_the_spaces_at_its_ends():
    assert parse_dsn(settings(host="db", password=" p w ").dsn)["password"] == " p w "


def test_each_host_of_a_dsn_may_have_its_port_or_the_default_one():
    dsn = "host=one,two,three port=5432,,65535"
    assert settings(dsn=dsn).dsn == dsn


def test_blank_parts_are_not_set():
    assert settings(dsn=DSN, host="", password="").dsn == DSN


def test_several_hosts_and_uris_are_dsns():
    uri = "postgresql://me@one:5432,two:5433/notes?target_session_attrs=read-write"
    assert settings(dsn=uri).dsn == uri


def test_an_embedded_server_may_have_a_database_of_another_name():
    given = settings(dsn="embedded:/srv/data", database="notes_test")
    assert (given.dsn, given.database) == ("embedded:/srv/data", "notes_test")


@pytest.mark.parametrize("dsn", ["host=db dbname=notes", "postgresql://db/notes", "host=db"])
def test_beside_a_dsn_a_database_is_another_of_the_same_server(dsn):
    given = settings(dsn=dsn, database="notes_test")
    assert parse_dsn(given.dsn) == {"host": "db", "dbname": "notes_test"}


@pytest.mark.parametrize("name, level", [("SERIALIZABLE", 3), ("read_committed", 1), (0, 0)])
def test_isolation_levels_have_psycopg2s_names_and_numbers(name, level):
    assert settings(dsn=DSN, isolation_level=name).isolation_level == level


WRONG = [
    ({}, "simpycity.dsn is not set"),
    ({"dsn": ""}, "simpycity.dsn is not set"),
    ({"dsn": DSN, "password_command": "pass 'show"}, 'simpycity.password_command is "pass \'show"'),
    (
        {"host": "db", "password": "p", "password_command": "pass show db"},
        "simpycity.password_command is set, and a password as well: keep one",
    ),
    (
        {"dsn": "embedded:/srv", "password_command": "pass show db"},
        "simpycity.password_command is set, and an embedded server asks for no password",
    ),
    ({"pool_sise": 3}, "simpycity.pool_sise is not a setting: did you mean simpycity.pool_size?"),
    ({"dns": DSN}, "did you mean simpycity.dsn?"),
    ({"colour": "red"}, "simpycity.colour is not a setting; the settings are simpycity.dsn"),
    ({"dsn": DSN, "pool_size": "five"}, "simpycity.pool_size is 'five': it must be a whole"),
    ({"dsn": DSN, "pool_size": -1}, "simpycity.pool_size is -1"),
    ({"dsn": DSN, "pool_size": 2.5}, "simpycity.pool_size is 2.5"),
    ({"dsn": DSN, "pool_size": True}, "simpycity.pool_size is True"),
    ({"dsn": DSN, "pool_size": None}, "simpycity.pool_size is None"),
    ({"dsn": DSN, "pool_size": ""}, "simpycity.pool_size is ''"),
    ({"dsn": DSN, "max_overflow": -1}, "simpycity.max_overflow is -1"),
    ({"dsn": DSN, "pool_size": 0, "max_overflow": 0}, "both 0"),
    ({"dsn": DSN, "pool_timeout": "-0.1"}, "simpycity.pool_timeout is '-0.1'"),
    ({"dsn": DSN, "pool_timeout": "nan"}, "simpycity.pool_timeout is 'nan'"),
    ({"dsn": DSN, "pool_timeout": "inf"}, "simpycity.pool_timeout is 'inf'"),
    ({"dsn": DSN, "pool_timeout": "1e999"}, "simpycity.pool_timeout is '1e999'"),
    ({"dsn": DSN, "pool_recycle": "-2"}, "0 or more, or -1"),
    ({"dsn": DSN, "pool_reset": "none"}, "simpycity.pool_reset is 'none': it must be one of roll"),
    ({"dsn": DSN, "isolation_level": "snapshot"}, "simpycity.isolation_level is 'snapshot'"),
    ({"dsn": DSN, "isolation_level": 9}, "simpycity.isolation_level is 9"),
    ({"dsn": DSN, "hold_warning": "soon"}, "simpycity.hold_warning is 'soon'"),
    ({"dsn": DSN, "host": "db"}, "simpycity.dsn and simpycity.host are both set"),
    ({"dsn": "embedded:/x", "user": "me"}, "simpycity.dsn and simpycity.user are both set"),
    ({"dsn": "embedded: "}, "name the directory"),
    ({"dsn": DSN, "pool_timeout": "1e10"}, "seconds, 0 or more, 2147483647 at most"),
    ({"dsn": DSN, "hold_warning": "1e12"}, "simpycity.hold_warning is '1e12'"),
    ({"host": "db", "port": "abc"}, "simpycity.port is 'abc': it must be a number from 1 to 65535"),
    ({"host": "db", "port": 65536}, "simpycity.port is '65536'"),
    ({"dsn": "host=one,two port=5432,0"}, "simpycity.dsn has a port in it that is no number"),
    ({"dsn": "hots=localhost"}, "has 'hots' in it, which libpq does not know (did you mean host?)"),
    ({"dsn": "host=db colour=red"}, "has 'colour' in it, which libpq does not know: write"),
    ({"dsn": "host=db password=hunter2 sslmod=require"}, "did you mean sslmode?"),
    ({"dsn": "postgresql://me:hunter2@db/x?sslmod=require"}, "did you mean sslmode?"),
    ({"dsn": "host=db pasword=hunter2"}, "has 'pasword' in it"),
    ({"dsn": "localhost"}, "simpycity.dsn is 'localhost', which libpq cannot parse"),
]


@pytest.mark.parametrize("values, sentence", WRONG, ids=[str(values) for values, _ in WRONG])
def test_a_wrong_setting_is_one_clear_sentence(values, sentence):
    with pytest.raises(ValueError) as error:
        settings(**values)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


SECRET_DSNS = [
    "host=db password=hunter2 frob=1",
    "host=db password='hunter2",
    "password=top hunter2 host=db",
    "host=db PASSWORD = hunter2 x",
    "postgresql://me:hunter2@db:x%zz/notes",
    "postgresql://me:p%zzhunter2@db/notes",
    "postgresql://me:a@hunter2@db/%zz",
    "postgresql://db/notes?password=hunter2&frob=1",
    "password=top hunter2=1",
    "password hunter2",
    "host=localhost pasword=hunter2 dbname=x",
    "host=localhost passwd=hunter2",
    "host=localhost dbname='x password=ab&hunter2",
    "user:hunter2@host/db",
    "postgresql:/user:hunter2@host/db",
    "postgresql://user:hunter2",
    "postgresql://user:a/b?hunter2=1@host/db",
    "jdbc:postgresql://host/db?user=u&password=hunter2",
]


@pytest.mark.parametrize("dsn", SECRET_DSNS)
def test_no_password_is_in_an_error_or_a_repr(dsn):
    with pytest.raises(ValueError) as error:
        settings(dsn=dsn)
    assert "hunter2" not in "".join(traceback.format_exception(error.value))
    assert "hunter2" not in repr(Settings(dsn=dsn))


@given(st.dictionaries(st.sampled_from(["dsn", "pool_size", "host", "port"]), st.text()))
def test_any_text_is_accepted_or_told_as_a_value_error(values):
    try:
        settings(**values)
    except ValueError as error:
        assert "simpycity." in str(error)


def test_the_status_page_is_for_nobody_this_machine_or_the_networks_named():
    assert settings(dsn=DSN).status_page == settings(dsn=DSN, status_page="off").status_page == ()
    assert settings(dsn=DSN, status_page=True).status_page == LOOPBACK
    (only,) = settings(dsn=DSN, status_page="10.1.0.0/16").status_page
    assert str(only) == "10.1.0.0/16"


@pytest.mark.parametrize("value", ["ture", "10.1.0.1/16", "localhost"])
def test_a_wrong_status_page_says_what_it_may_be(value):
    with pytest.raises(ValueError, match="simpycity.status_page is .*it must be true, for this"):
        settings(dsn=DSN, status_page=value)
