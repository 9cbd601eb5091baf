"""The embedded PostgreSQL."""

import psycopg2


def test_a_fresh_database_answers(dsn, witness):
    link = psycopg2.connect(dsn)
    with link.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        name = cursor.fetchone()[0]
    with witness.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (name,))
        assert cursor.fetchone()[0] == 1
    link.close()
