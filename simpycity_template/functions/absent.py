"""Why the database has no function of the name that is declared."""

from difflib import get_close_matches
from typing import Any

from simpycity_template.functions.arguments import corrected
from simpycity_template.functions.catalogue import Catalogue, PgFunction
from simpycity_template.functions.finding import Problem
from simpycity_template.functions.names import parts
from simpycity_template.functions.written import line_of

_KINDS = {"p": "a procedure", "a": "an aggregate function", "w": "a window function"}


def absent(query: Any, meant: list[PgFunction], catalogue: Catalogue) -> Problem:
    """Why there is no function of the name that is declared."""
    name = query.query_base
    wanted = "procedure" if query.procedure else "function"
    if meant:
        other = meant[0]
        if other.kind in "fp":
            kind = "a function" if other.kind == "f" else "a procedure"
            return f"{name} is {kind}, and declared as a {wanted}", line_of(other, catalogue)
        return (
            f"{name} is {_KINDS[other.kind]}, which has no rows of its own to return",
            f'Raw("SELECT {name}(…) FROM …")',
        )
    found = parts(name)
    if found is None:
        return f"{name} is no name of SQL", ""
    if len(found) > 1 and found[-2] not in (*catalogue.schemas, "pg_catalog"):
        near = get_close_matches(found[-2], catalogue.schemas, 1)
        meaning = f"; did you mean {near[0]}?" if near else ""
        elsewhere = catalogue.named(found[-1])
        instead = corrected(query, elsewhere[0], catalogue) if elsewhere else ""
        return f"there is no schema {found[-2]}{meaning}", instead
    problem = f"there is no {wanted} {name}"
    same = [
        one
        for one in catalogue.functions
        if one.name.lower() == found[-1].lower() and one.kind in "fp"
    ]
    if same:
        written_name = catalogue.written_name(same[0])
        where = "" if len(found) > 1 else " in the schemas of the search path"
        return f"{problem}{where}, but there is {written_name}", corrected(
            query, same[0], catalogue
        )
    known = {one.name: one for one in catalogue.functions if one.kind in "fp" and one.ours}
    near = get_close_matches(found[-1], known, 1)
    if near:
        nearest = known[near[0]]
        return f"{problem}; did you mean {catalogue.written_name(nearest)}?", corrected(
            query, nearest, catalogue
        )
    return problem, ""
