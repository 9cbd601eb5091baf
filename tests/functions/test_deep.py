"""`--deep` has plpgsql_check look at the bodies of the functions."""

import psycopg2
import pytest

from simpycity_template.functions.check import check
from simpycity_template.paster.functions import _where

SCHEMA = """
CREATE TABLE note (id int);
CREATE FUNCTION wrong(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO note VALUES (n);
    RETURN (SELECT titel FROM note);
END $$;
CREATE FUNCTION right_one(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN n; END $$;
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.titel := 1; RETURN NEW; END $$;
CREATE FUNCTION unused() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER changed BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION changed();
"""


@pytest.fixture
def link(dsn):
    link = psycopg2.connect(dsn)
    with link, link.cursor() as cursor:
        cursor.execute(SCHEMA)
    yield link
    link.close()


def has_extension(link):
    with link, link.cursor() as cursor:
        cursor.execute("SELECT FROM pg_available_extensions WHERE name = 'plpgsql_check'")
        return cursor.fetchone() is not None


# The embedded server cannot have the extension.
@pytest.mark.parametrize("create_database", ["Debian's"], indirect=True)
def test_mistakes_in_bodies_are_found(link):
    if not has_extension(link):
        pytest.skip("needs Debian's package postgresql-15-plpgsql-check")
    with link, link.cursor() as cursor:
        cursor.execute("CREATE SCHEMA tools; CREATE EXTENSION plpgsql_check SCHEMA tools")
    report = check(link, [], deep=True)
    found = [(_where(one), one.declaration, one.problem) for one in report.findings]
    assert (
        "in the database, line 4", "wrong(n integer)", 'error: column "titel" does not exist'
    ) in found  # fmt: skip
    assert ("changed()", 'error: record "new" has no field "titel"') in [one[1:] for one in found]
    assert {one[1] for one in found} == {"wrong(n integer)", "changed()"}
    assert report.remarks == []
    assert check(link, []).findings == []
    with link, link.cursor() as cursor:
        cursor.execute("SELECT FROM note")
        assert cursor.fetchall() == []


def test_without_the_extension_a_remark_says_how_to_have_it(link):
    report = check(link, [], deep=True)
    assert report.findings == []
    assert report.remarks[0].startswith("The extension plpgsql_check is not installed in ")
