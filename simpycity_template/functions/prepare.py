"""Has the server read a statement, and tell what is wrong with it, without executing it."""

import re
from collections.abc import Sequence
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as psycopg2_connection

from simpycity_template.driver.sql_text import statements

_PREPARED = {"select", "insert", "update", "delete", "merge", "values", "with", "table"}
_PLACEHOLDER = re.compile(r"%(s|%)")
LIST = re.compile(r"(?i)\bIN\s+%s")
# Between them stand what is no mistake where psycopg2 writes values in place of the parameters.
_OF_PARAMETERS = (
    errors.IndeterminateDatatype,
    errors.AmbiguousParameter,
    errors.AmbiguousFunction,
)


def problem_of_text(link: psycopg2_connection, query: Any) -> tuple[str, str]:
    """What is wrong with a ``Query`` or a ``Raw``, and why it could not be checked; both may be empty.

    Arguments:
        link: a connection in a transaction, which is rolled back to where it was.
        query: the declaration.
    """
    text = query.form_query("*")
    # Without arguments a % is only a %.
    number = (
        sum(found.group() == "%s" for found in _PLACEHOLDER.finditer(text)) if query.args else 0
    )
    if number != len(query.args):
        wanted, named = number, len(query.args)
        return (
            f"its text has {wanted} placeholder{'s' * (wanted != 1)} %s, and it names "
            f"{named} argument{'s' * (named != 1)}"
        ), ""
    single = list(statements(text))
    if len(single) != 1:
        return "", "it is not one statement, so it was not checked"
    text = text[slice(*single[0])]
    if _first_word(text) not in _PREPARED:
        return "", "only SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES can be checked"
    error = _error_of(link, text, number)
    if error is None or isinstance(error, _OF_PARAMETERS):
        return "", ""
    message = (error.diag.message_primary or str(error)).strip()
    if isinstance(error, errors.SyntaxError) and re.search(r'at or near "\$\d+"', message):
        return "", "a placeholder stands where PREPARE takes none, so it was not checked"
    if isinstance(error, errors.LockNotAvailable):
        return "", "another session has locked what it uses, so it was not checked"
    if error.pgcode is None or error.pgcode[:2] in ("08", "53", "55", "57"):
        raise error
    return f"PostgreSQL says: {message}", ""


def _first_word(text: str) -> str:
    found = re.match(r"[\s(]*(?:(?:--[^\n]*\n|/\*.*?\*/)[\s(]*)*(\w*)", text, re.DOTALL)
    return found[1].lower() if found else ""


def with_parameters(text: str, parameters: Sequence[str]) -> str:
    """A statement with these texts in place of its placeholders ``%s``, one for each."""
    if not parameters:
        return text.replace("%%", "%") if "%" not in text.replace("%%", "") else text
    left = iter(parameters)
    return _PLACEHOLDER.sub(
        lambda found: "%" if found.group() == "%%" else next(left), LIST.sub("IN (%s)", text)
    )


def _error_of(link: psycopg2_connection, text: str, number: int) -> psycopg2.Error | None:
    text = with_parameters(text, [f"${place}" for place in range(1, number + 1)])
    with link.cursor() as cursor:
        cursor.execute("SAVEPOINT simpycity_check")
        try:
            cursor.execute(f"PREPARE simpycity_check AS {text}")
            cursor.execute("DEALLOCATE simpycity_check")
            return None
        except psycopg2.Error as error:
            if link.closed:
                raise
            return error
        finally:
            if not link.closed:
                cursor.execute("ROLLBACK TO SAVEPOINT simpycity_check")
