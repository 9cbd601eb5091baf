"""What the catalogue of a database says of its functions, read in a number of queries that does not
depend on how many there are.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg2.extensions import connection as psycopg2_connection

from simpycity_template.functions.names import parts, quoted
from simpycity_template.simpycity_patches.pg_types import PgTypes

# Those of the schemas of the application, and those of PostgreSQL's own that are asked for.
_FUNCTIONS = """
SELECT p.oid::int8, n.nspname, p.proname, p.prokind::text, p.proretset, p.prorettype::int8,
    p.provariadic::int8, p.pronargdefaults,
    ARRAY(SELECT unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))::int8) AS types,
    p.proargmodes::text[] AS modes, p.proargnames AS names,
    ARRAY(
        SELECT format_type(t, NULL)
        FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY u(t, place)
        ORDER BY place
    ) AS type_names,
    format_type(p.prorettype, NULL) AS returns,
    pg_function_is_visible(p.oid) AS visible,
    has_function_privilege(p.oid, 'EXECUTE') AND has_schema_privilege(n.oid, 'USAGE') AS usable,
    obj_description(p.oid, 'pg_proc') AS comment,
    EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid
            AND deptype = 'e'
    ) AS of_extension,
    p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AS of_trigger
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') OR p.proname = ANY(%s)
ORDER BY n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)
"""

_DATABASE = """
SELECT current_user, current_database(), current_schemas(true), current_setting('server_version_num')::int,
    ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1),
    ARRAY(
        SELECT nspname::text FROM pg_namespace
        WHERE nspname !~ '^pg_' AND NOT has_schema_privilege(oid, 'USAGE') ORDER BY 1
    ),
    ARRAY(SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'C')),
    ARRAY(SELECT extname::text FROM pg_extension)
"""


class Parameter(NamedTuple):
    """A parameter of a function.

    Attributes:
        name: empty where it has none.
        mode: as in ``pg_proc``: ``i``, ``o``, ``b`` for both, ``v`` for VARIADIC, ``t`` of a table.
        type: the number of its type.
        type_name: as SQL writes it.
        has_default: whether a call may leave it out.
    """

    name: str
    mode: str
    type: int
    type_name: str
    has_default: bool


@dataclass(frozen=True)
class PgFunction:
    """A function or procedure of the database.

    Attributes:
        oid: its number.
        schema, name: as the catalogue has them.
        kind: ``f`` function, ``p`` procedure, ``a`` aggregate, ``w`` window function.
        returns_set: whether it returns any number of rows.
        return_type, returns: the number of the type and how SQL writes it.
        parameters: all of them, in order.
        visible: whether it is found without its schema.
        usable: whether this role may call it.
        comment: of COMMENT ON FUNCTION.
        ours: whether an application would declare it: no extension's, and no trigger's.
    """

    oid: int
    schema: str
    name: str
    kind: str
    returns_set: bool
    return_type: int
    returns: str
    parameters: tuple[Parameter, ...]
    visible: bool
    usable: bool
    comment: str | None
    ours: bool

    @property
    def given(self) -> list[Parameter]:
        """The parameters that a call gives values for."""
        # A procedure's OUT arguments are given, too.
        modes = "iobv" if self.kind == "p" else "ibv"
        return [one for one in self.parameters if one.mode in modes]

    @property
    def is_variadic(self) -> bool:
        """Whether its last parameter takes any number of values."""
        return any(one.mode == "v" for one in self.parameters)

    @property
    def returned(self) -> list[Parameter]:
        """The parameters that its result has as columns."""
        return [one for one in self.parameters if one.mode in "obt"]

    def signature(self, catalogue: "Catalogue") -> str:
        """How PostgreSQL would show it: name, parameters, and what it returns."""
        shown = ", ".join(
            " ".join(
                filter(
                    None,
                    (
                        {"o": "OUT", "b": "INOUT", "v": "VARIADIC"}.get(one.mode, ""),
                        one.name,
                        one.type_name,
                        "DEFAULT …" if one.has_default else "",
                    ),
                )
            )
            for one in self.parameters
            if one.mode != "t"
        )
        return f"{catalogue.written_name(self)}({shown})"


class Catalogue:
    """The functions of one database, as one role sees them.

    Attributes:
        functions: all of them, by schema, name and arguments.
        types: of their parameters and results.
        role, database: whose eyes, and where.
        search_path: the schemas in which a name without one is looked for.
        schemas: all of them; ``hidden`` those that this role may not use.
        extensions: the names of those that are installed.
        version: of the server, as a number such as 150004.
    """

    def __init__(self, link: psycopg2_connection, names: Iterable[str] = ()) -> None:
        """Read it.

        Arguments:
            link: a connection to the database.
            names: of functions, as declarations have them; PostgreSQL's own are read only where
                they are asked for.
        """
        asked = {found[-1] for name in names if (found := parts(name))}
        self.types = PgTypes()
        with link.cursor() as cursor:
            # On a server with LLVM it would take a hundred times as long to compile these as to run them.
            cursor.execute(f"SET LOCAL jit = off; {_DATABASE}")
            row: Any = cursor.fetchone()
            self.role, self.database, self.search_path, self.version = row[:4]
            self.schemas, self.hidden, keywords, self.extensions = row[4:]
            self._keywords = frozenset(keywords)
            cursor.execute(_FUNCTIONS, (sorted(asked),))
            rows = cursor.fetchall()
            needed = {oid for row in rows for oid in (*row[8], row[5])}
            self.types.learn(cursor, sorted(needed))
        self.functions = [_function(row) for row in rows]
        self._by_name = defaultdict(list)
        for function in self.functions:
            self._by_name[function.name].append(function)

    def meant(self, name: str) -> list[PgFunction]:
        """The functions that a name of a declaration may mean."""
        found = parts(name)
        if found is None:
            return []
        same = self._by_name.get(found[-1], [])
        if len(found) == 1:
            return [one for one in same if one.visible]
        return [one for one in same if one.schema == found[-2]]

    def named(self, name: str) -> list[PgFunction]:
        """The functions of a name, in whichever schema."""
        return self._by_name.get(name, [])

    def written_name(self, function: PgFunction) -> str:
        """The name of a function as a declaration has it."""
        name = quoted(function.name, self._keywords)
        return name if function.visible else f"{quoted(function.schema, self._keywords)}.{name}"

    def columns(self, function: PgFunction) -> list[tuple[str, int]] | None:
        """The names and types of the columns of a function's rows; None where nobody knows them."""
        if function.returned:
            return [(one.name, one.type) for one in function.returned]
        known = self.types.get(function.return_type)
        while known is not None and known.kind == "d":
            known = self.types.get(known.base)
        if known is None or known.kind == "p":
            return None if function.returns == "record" else [(function.name, function.return_type)]
        if known.kind == "c":
            return list(known.fields)
        return [(function.name, function.return_type)]


def _function(row: Any) -> PgFunction:
    oid, schema, name, kind, returns_set, return_type, _, defaults, types, modes, names = row[:11]
    type_names, returns, visible, usable, comment, of_extension, of_trigger = row[11:]
    modes = modes or ["i"] * len(types)
    names = names or [""] * len(types)
    taken = [place for place, mode in enumerate(modes) if mode in "ibv"]
    with_default = set(taken[len(taken) - defaults :]) if defaults else set()
    parameters = tuple(
        Parameter(
            names[place] or "", modes[place], types[place], type_names[place], place in with_default
        )
        for place in range(len(types))
    )
    return PgFunction(
        oid, schema, name, kind, returns_set, return_type, returns, parameters,
        visible, usable, comment, not (of_extension or of_trigger),
    )  # fmt: skip
