"""The databases that the tests borrow."""

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from support import until

TOUCH = {
    "a table": "CREATE TABLE kept ()",
    "a table, rolled back": "BEGIN; CREATE TABLE kept (); ROLLBACK",
    "a setting": "ALTER DATABASE {name} SET work_mem = '1MB'",
    "a limit": "ALTER DATABASE {name} CONNECTION LIMIT 5",
    "an owner": "ALTER DATABASE {name} OWNER TO pg_monitor",
    "a privilege": "GRANT CONNECT ON DATABASE {name} TO pg_monitor",
}


def use(dsn, statement, witness):
    name = parse_dsn(dsn)["dbname"]
    link = psycopg2.connect(dsn)
    link.autocommit = True
    link.cursor().execute(statement.format(name=name))
    link.close()
    with witness.cursor() as cursor:
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        until(lambda: cursor.execute(count, [name]) or cursor.fetchone() == (0,))


def borrowed_again(server, dsn):
    """Tell whether a later test gets the database."""
    server.give_back_database(dsn)
    later = []
    # Those that were given back before have their turn first.
    for _ in range(len(server._given_back) + 1):
        later.append(server.borrow_database())
        server.give_back_database(later[-1])
    return dsn in later


@pytest.mark.parametrize("statement", TOUCH.values(), ids=TOUCH)
def test_no_test_gets_a_database_that_another_has_changed(server, witness, statement):
    dsn = server.create_database()
    use(dsn, statement, witness)
    assert not borrowed_again(server, dsn)


def test_no_test_gets_a_database_in_which_another_has_left_a_session(server):
    dsn = server.create_database()
    link = psycopg2.connect(dsn)
    assert not borrowed_again(server, dsn)
    link.close()
