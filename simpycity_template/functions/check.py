"""Sets the declarations of an application beside the functions of its database."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from psycopg2.extensions import connection as psycopg2_connection
from simpycity.model import SimpleModel

from simpycity_template.functions.catalogue import Catalogue, PgFunction
from simpycity_template.functions.deep import NOT_INSTALLED, check_bodies
from simpycity_template.functions.finding import Finding
from simpycity_template.functions.names import parts
from simpycity_template.functions.prepare import problem_of_text
from simpycity_template.functions.written import (
    argument_names,
    declaration_of,
    is_function,
    is_single,
    line_of,
    written,
)

KINDS = {"p": "a procedure", "a": "an aggregate function", "w": "a window function"}


@dataclass
class Report:
    """What a check has found.

    Attributes:
        findings: the declarations that are wrong.
        undeclared: functions of the database that are not declared, as the lines to write.
        remarks: what could not be checked.
        checked: how many declarations.
    """

    findings: list[Finding] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    checked: int = 0


def check(link: psycopg2_connection, queries: list[Any], deep: bool = False) -> Report:
    """Compare declarations with a database; it changes nothing there.

    Arguments:
        link: a connection to the database, in no transaction.
        queries: the declared query objects.
        deep: also check the bodies of functions, where the extension plpgsql_check is installed.

    Raises:
        psycopg2.Error: the database does not tell.
    """
    report = Report(checked=len(queries))
    functions = [query for query in queries if is_function(query)]
    link.rollback()
    try:
        with link.cursor() as cursor:
            # It changes nothing, and whoever waits for a lock makes others wait.
            cursor.execute("SET TRANSACTION READ ONLY; SET LOCAL lock_timeout = '2s'")
        catalogue = Catalogue(link, (query.query_base for query in functions))
        declared: dict[int, Any] = {}
        for query in queries:
            for problem, instead in _problems(query, catalogue, link, declared, report):
                file, line = query.declared_at
                finding = Finding(file, line, declaration_of(query), problem, instead)
                report.findings.append(finding)
        if deep:
            bodies = check_bodies(link, catalogue)
            report.findings += bodies or []
            if bodies is None:
                report.remarks.append(NOT_INSTALLED.format(catalogue.database))
    finally:
        link.rollback()
    report.undeclared = [
        line_of(one, catalogue)
        for one in catalogue.functions
        if one.ours and one.usable and one.kind in "fp" and one.oid not in declared
        and one.schema not in ("pg_catalog", "information_schema")
    ]  # fmt: skip
    if catalogue.hidden:
        report.remarks.append(
            f"The role {catalogue.role} may not use the schemas {', '.join(catalogue.hidden)}: "
            "what they have is not listed."
        )
    return report


Problem = tuple[str, str]
"""A sentence, and what to write instead."""


def _problems(
    query: Any,
    catalogue: Catalogue,
    link: psycopg2_connection,
    declared: dict[int, Any],
    report: Report,
) -> Iterator[Problem]:
    if not is_function(query):
        problem, remark = problem_of_text(link, query)
        if problem:
            yield problem, ""
        if remark:
            file, line = query.declared_at
            report.remarks.append(f"{file}:{line}: {remark}")
        return
    meant = catalogue.meant(query.query_base)
    kind = "p" if query.procedure else "f"
    fitting = [one for one in meant if one.kind == kind]
    if not fitting:
        # What is another kind of thing is not undeclared as well.
        declared.update((one.oid, query) for one in meant)
        yield _absent(query, meant, catalogue)
        return
    wrong = {one.oid: _argument_problem(query, one, catalogue) for one in fitting}
    right = [one for one in fitting if wrong[one.oid] is None]
    declared.update((one.oid, query) for one in (right or fitting) if one.oid not in declared)
    if not right:
        nearest = min(fitting, key=lambda one: _distance(query, one))
        yield wrong[nearest.oid] or "", _corrected(query, nearest, catalogue)
        return
    if ambiguous := _ambiguous(query, right):
        shown = "; ".join(one.signature(catalogue) for one in ambiguous)
        yield (
            f"a call does not say which of these functions is meant: {shown}",
            ("in the database: functions of different names, or fewer defaults"),
        )
        return
    function = right[0]
    if not any(one.usable for one in right):
        yield (
            f"the role {catalogue.role} has no privilege to execute {function.signature(catalogue)}",
            f"in the database: {_grant(function, catalogue)}",
        )
    yield from _result_problems(query, right, catalogue)
    other = declared[function.oid]
    if other is not query and not any(one.name for one in function.given):
        shared = min(len(other.args), len(query.args))
        if other.args[:shared] != query.args[:shared]:
            file, line = other.declared_at
            yield (
                f"it is declared at {file}:{line}, too, with the arguments {', '.join(other.args)}",
                declaration_of(other),
            )


def _ambiguous(query: Any, right: list[PgFunction]) -> list[PgFunction]:
    """Functions that a call of a declaration fits alike, whatever its values are."""
    same: dict[tuple[int, ...], list[PgFunction]] = {}
    for function in right:
        types = tuple(one.type for one in function.given[: len(query.args)])
        same.setdefault(types, []).append(function)
    # One that has exactly so many parameters is no better than one with defaults.
    return next((alike for alike in same.values() if len(alike) > 1), [])


def _grant(function: PgFunction, catalogue: Catalogue) -> str:
    if function.schema in catalogue.hidden:
        return f"GRANT USAGE ON SCHEMA {function.schema} TO {catalogue.role}"
    kind = "PROCEDURE" if function.kind == "p" else "FUNCTION"
    return f"GRANT EXECUTE ON {kind} {catalogue.written_name(function)} TO {catalogue.role}"


def _absent(query: Any, meant: list[PgFunction], catalogue: Catalogue) -> Problem:
    """Why there is no function of the name that is declared."""
    name = query.query_base
    wanted = "procedure" if query.procedure else "function"
    if meant:
        other = meant[0]
        if other.kind in "fp":
            kind = "a function" if other.kind == "f" else "a procedure"
            return f"{name} is {kind}, and declared as a {wanted}", line_of(other, catalogue)
        return (
            f"{name} is {KINDS[other.kind]}, which has no rows of its own to return",
            f'Raw("SELECT {name}(…) FROM …")',
        )
    found = parts(name)
    if found is None:
        return f"{name} is no name of SQL", ""
    if len(found) > 1 and found[-2] not in (*catalogue.schemas, "pg_catalog"):
        near = get_close_matches(found[-2], catalogue.schemas, 1)
        meaning = f"; did you mean {near[0]}?" if near else ""
        elsewhere = catalogue.named(found[-1])
        instead = _corrected(query, elsewhere[0], catalogue) if elsewhere else ""
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
        return f"{problem}{where}, but there is {written_name}", _corrected(
            query, same[0], catalogue
        )
    known = {one.name: one for one in catalogue.functions if one.kind in "fp" and one.ours}
    near = get_close_matches(found[-1], known, 1)
    if near:
        nearest = known[near[0]]
        return f"{problem}; did you mean {catalogue.written_name(nearest)}?", _corrected(
            query, nearest, catalogue
        )
    return problem, ""


def _argument_problem(query: Any, function: PgFunction, catalogue: Catalogue) -> str | None:
    """What is wrong with the arguments of a declaration, if this function is meant."""
    given, names = function.given, query.args
    shown = function.signature(catalogue)
    if query.variadic and not function.is_variadic:
        return f"it is declared as variadic, and {shown} is not"
    if function.is_variadic and not query.variadic and names and names[-1] == given[-1].name:
        return f"its last argument is VARIADIC, so that a call cannot pass a list: {shown}"
    if len(names) > len(given) and not function.is_variadic:
        return f"it names {_counted(len(names))}, and the function has {len(given)}: {shown}"
    for place, name in enumerate(names[: len(given)]):
        expected = given[place].name
        is_element = function.is_variadic and not query.variadic and place == len(given) - 1
        if not expected or name == expected or is_element:
            continue
        known = [one.name for one in given]
        if name not in known:
            return f"there is no argument {name!r} in {shown}"
        return f"the arguments are in another order than in {shown}"
    for parameter in given[len(names) :]:
        if not parameter.has_default and parameter.mode != "v":
            called = repr(parameter.name) if parameter.name else f"number {len(names) + 1}"
            return f"the argument {called} has no default, and is never given: {shown}"
    return None


def matching(query: Any, catalogue: Catalogue) -> list[PgFunction]:
    """The functions of the database that a declaration of a function is right for."""
    kind = "p" if query.procedure else "f"
    return [
        one
        for one in catalogue.meant(query.query_base)
        if one.kind == kind and _argument_problem(query, one, catalogue) is None
    ]


def _counted(number: int) -> str:
    return f"{number} argument{'s' * (number != 1)}"


def _distance(query: Any, function: PgFunction) -> int:
    names = {one.name for one in function.given}
    return len(names.symmetric_difference(query.args)) * 100 + abs(len(names) - len(query.args))


def _corrected(query: Any, function: PgFunction, catalogue: Catalogue) -> str:
    """The declaration as it should be: of the same class, where that can be."""
    line = line_of(function, catalogue)
    kind, single = type(query).__name__, is_single(query)
    if single == (not function.returns_set) and function.kind == "f":
        line = kind + line[line.index("(") :]
    # Trailing arguments that have defaults need not be named.
    names = argument_names(function)
    kept = names[: len(query.args)]
    rest = function.given[len(query.args) :]
    if kept == query.args and all(one.has_default for one in rest) and not function.is_variadic:
        options = line[line.index(")") + 1 :]
        line = (
            written(line[: line.index("(")], catalogue.written_name(function), kept, []) + options
        )
    return line


def _result_problems(
    query: Any, right: list[PgFunction], catalogue: Catalogue
) -> Iterator[Problem]:
    function = right[0]
    if function.kind == "f" and all(one.returns_set == is_single(query) for one in right):
        how = "a set of rows" if function.returns_set else "one row"
        other = _other_form(type(query).__name__)
        yield (
            f"it returns {how}, and is declared as {type(query).__name__}",
            (written(other, query.query_base, query.args, ["variadic=True"] * query.variadic)),
        )
    columns = catalogue.columns(function)
    for model in models_of(query):
        if columns is None:
            continue
        names = [name for name, _ in columns]
        missing = [name for name in model.table if name not in names]
        if missing and names != ["base_"] and "base_" not in names:
            yield (
                f"the table of {model.__name__} names {', '.join(map(repr, missing))}, and the result "
                f"has the columns {', '.join(names)}",
                f"table = [{', '.join(repr(name) for name in names)}]",
            )


def _other_form(kind: str) -> str:
    return kind.removesuffix("Single") if kind.endswith("Single") else f"{kind}Single"


def models_of(query: Any) -> list[Any]:
    """The models that are filled with the rows of a query."""
    found = [getattr(query, "return_type", None), query.__attr__["callback"]]
    waiting = [SimpleModel]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        found += [model for name in ("__load__", "__lazyload__") if vars(model).get(name) is query]
    return [one for one in found if isinstance(one, type) and issubclass(one, SimpleModel)]
