"""The types of a function's parameters, which say what a list, a dictionary or a model becomes.

They are looked up where such a value is given for the first time, once for each declaration.
"""

from typing import Any, NamedTuple

from simpycity.handle import Cursor

from simpycity_template.simpycity_patches.arguments import Sent
from simpycity_template.simpycity_patches.pg_types import pg_types
from simpycity_template.simpycity_patches.to_sql import STRUCTURED, to_sql, to_type

# What can be meant by a name, with the parameters that a call gives values for.
_FUNCTIONS = """
SELECT p.provariadic::int8,
    ARRAY(SELECT unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))::int8),
    p.proargmodes::text[], p.proargnames, p.prokind::text
FROM (SELECT parse_ident(%s) AS names) AS given
JOIN pg_catalog.pg_proc p ON p.proname = names[cardinality(names)]
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE CASE WHEN cardinality(names) = 1 THEN pg_catalog.pg_function_is_visible(p.oid)
      ELSE n.nspname = names[cardinality(names) - 1] END
"""


class Candidate(NamedTuple):
    """A function that a declaration may mean.

    Attributes:
        types: the numbers of its parameters' types, of those that a call gives values for.
        names: of these parameters; empty where they have none.
        element: the number of the type of its VARIADIC parameter's elements; 0 without one.
    """

    types: list[int]
    names: list[str]
    element: int

    def types_of(self, sent: Sent) -> list[int] | None:
        """The types of the arguments that are sent; None where they do not fit."""
        types = list(self.types)
        if self.element and not sent.variadic:
            # Each of the last values is an element.
            types[-1:] = [self.element] * (sent.positional - len(types) + 1)
        if sent.positional > len(types) or not set(sent.named) <= set(self.names):
            return None
        by_name = dict(zip(self.names, self.types, strict=False))
        return types[: sent.positional] + [by_name[name] for name in sent.named]


def by_parameters(query: Any, connection: Any, values: list[Any], sent: Sent) -> list[Any]:
    """The values of a call as psycopg2 can write them, by the types of the parameters.

    Where functions of that name have different types there, a value is written by its own type.

    Raises:
        TypeError: a value has not the columns of its composite type.
    """
    if not any(isinstance(value, STRUCTURED) for value in values):
        return values
    candidates = query.__attr__.setdefault("parameters", {})
    if connection.dsn not in candidates:
        candidates[connection.dsn] = _candidates(query, connection)
    fitting = [candidate.types_of(sent) for candidate in candidates[connection.dsn]]
    meant = [types for types in fitting if types is not None]
    written = []
    known = pg_types(connection)
    for place, value in enumerate(values):
        types = {one[place] for one in meant}
        if len(types) == 1 and isinstance(value, STRUCTURED):
            known.learn(Cursor(connection), list(types))
            written.append(to_type(value, types.pop(), known))
        else:
            written.append(to_sql(value))
    return written


def forget_parameters(query: Any) -> None:
    """Look them up anew at the next call: there is no such function as there was."""
    query.__attr__.pop("parameters", None)


def _candidates(query: Any, connection: Any) -> list[Candidate]:
    found = []
    cursor = Cursor(connection)
    cursor.execute(_FUNCTIONS, (query.query_base,))
    for element, types, modes, names, kind in cursor.fetchall():
        taken = "iobv" if kind == "p" else "ibv"
        places = [place for place in range(len(types)) if modes is None or modes[place] in taken]
        found.append(
            Candidate(
                [types[place] for place in places],
                [names[place] for place in places] if names else [],
                element,
            )
        )
    return found
