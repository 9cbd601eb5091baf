"""What the extension plpgsql_check says of the bodies of functions."""

from psycopg2.extensions import connection as psycopg2_connection
from psycopg2.sql import SQL, Identifier

from simpycity_template.functions.catalogue import Catalogue
from simpycity_template.functions.finding import Finding

# A trigger's function is checked for each table that has the trigger.
_CHECK = SQL("""
SELECT p.oid::int8, found.lineno, found.level, found.message, coalesce(found.hint, '')
FROM pg_proc p
JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
JOIN pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN (SELECT DISTINCT tgfoid, tgrelid FROM pg_trigger WHERE NOT tgisinternal) t
    ON t.tgfoid = p.oid
CROSS JOIN LATERAL {}.plpgsql_check_function_tb(p.oid, coalesce(t.tgrelid, 0)) found
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND p.prorettype <> 'event_trigger'::regtype
    AND (p.prorettype <> 'trigger'::regtype OR t.tgrelid IS NOT NULL)
ORDER BY n.nspname, p.proname, p.oid, found.lineno
""")

NOT_INSTALLED = (
    "The extension plpgsql_check is not installed in {}, so the functions' bodies were not checked: "
    "CREATE EXTENSION plpgsql_check (Debian has it as postgresql-15-plpgsql-check)."
)


def check_bodies(link: psycopg2_connection, catalogue: Catalogue) -> list[Finding] | None:
    """What is wrong in the bodies of the database's functions; None without the extension.

    Arguments:
        link: a connection in a transaction, which is the caller's to roll back.
        catalogue: of the database.
    """
    if "plpgsql_check" not in catalogue.extensions:
        return None
    functions = {one.oid: one for one in catalogue.functions}
    with link.cursor() as cursor:
        cursor.execute(
            "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace"
            " WHERE extname = 'plpgsql_check'"
        )
        ((schema,),) = cursor.fetchall()
        cursor.execute(_CHECK.format(Identifier(schema)))
        return [
            Finding("", line or 0, functions[oid].signature(catalogue), f"{level}: {message}", hint)
            for oid, line, level, message, hint in cursor.fetchall()
            if oid in functions
        ]
