"""Finds functions that a change of their arguments has left behind.

CREATE OR REPLACE FUNCTION replaces the function that has these argument types. Where an argument
was added, it makes a second function, and a call that fits both fails.
"""

from typing import Any

# What a transaction has made or replaced has its number as xmin.
_LEFT_BEHIND = """
    SELECT old.oid::regprocedure::text,
           CASE old.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
           min(new.oid::regprocedure::text)
      FROM pg_proc AS new
      JOIN pg_proc AS old USING (pronamespace, proname)
     WHERE new.xmin::text = (txid_current() % (2::bigint ^ 32)::bigint)::text
       AND old.xmin::text <> (txid_current() % (2::bigint ^ 32)::bigint)::text
       AND NOT EXISTS (
           SELECT FROM pg_depend
            WHERE classid = 'pg_proc'::regclass AND objid = old.oid AND deptype = 'e')
     GROUP BY old.oid, old.prokind
     ORDER BY 1
"""


def left_behind(cursor: Any) -> list[str]:
    """Find functions beside one of the same name that this transaction has made.

    Arguments:
        cursor: of the transaction.

    Returns:
        for each a sentence with the line that removes it.
    """
    cursor.execute(_LEFT_BEHIND)
    return [
        f"{old} is left behind beside {new}, and a call that fits both would fail. Where nobody "
        f"needs it, add this line:\n    DROP {kind} IF EXISTS {old};"
        for old, kind, new in cursor.fetchall()
    ]
