"""Sets the declarations of an application beside the functions of its database."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from psycopg2.extensions import connection as psycopg2_connection

from simpycity_template.functions.absent import absent
from simpycity_template.functions.arguments import corrected, distance, problem_of_arguments
from simpycity_template.functions.catalogue import Catalogue, PgFunction
from simpycity_template.functions.deep import NOT_INSTALLED, check_bodies
from simpycity_template.functions.describe import described
from simpycity_template.functions.finding import Finding, Problem
from simpycity_template.functions.prepare import problem_of_text
from simpycity_template.functions.results import (
    models_by_query,
    problem_of_number,
    problems_of_models,
)
from simpycity_template.functions.written import declaration_of, is_function, line_of


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
    link.rollback()
    try:
        with link.cursor() as cursor:
            # It changes nothing, and whoever waits for a lock makes others wait.
            cursor.execute("SET TRANSACTION READ ONLY; SET LOCAL lock_timeout = '2s'")
        comparison = _Check(link, queries, report)
        catalogue = comparison.catalogue
        for query in queries:
            for problem, instead in comparison.problems(query):
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
        if one.ours and one.usable and one.kind in "fp" and one.oid not in comparison.declared
        and one.schema not in ("pg_catalog", "information_schema")
    ]  # fmt: skip
    if catalogue.hidden:
        report.remarks.append(
            f"The role {catalogue.role} may not use the schemas {', '.join(catalogue.hidden)}: "
            "what they have is not listed."
        )
    return report


class _Check:
    """The declarations of one application, beside one database."""

    def __init__(self, link: psycopg2_connection, queries: list[Any], report: Report) -> None:
        names = (query.query_base for query in queries if is_function(query))
        self.catalogue = Catalogue(link, names)
        self.declared: dict[int, Any] = {}
        self._link, self._report = link, report
        self._models = models_by_query(queries)

    def problems(self, query: Any) -> Iterator[Problem]:
        """What is wrong with a declaration."""
        if not is_function(query):
            yield from self._of_text(query)
            return
        catalogue = self.catalogue
        meant = catalogue.meant(query.query_base)
        fitting = [one for one in meant if one.kind == ("p" if query.procedure else "f")]
        if not fitting:
            # What is another kind of thing is not undeclared as well.
            self.declared.update((one.oid, query) for one in meant)
            yield absent(query, meant, catalogue)
            return
        wrong = {one.oid: problem_of_arguments(query, one, catalogue) for one in fitting}
        right = [one for one in fitting if wrong[one.oid] is None]
        for one in right or fitting:
            self.declared.setdefault(one.oid, query)
        if not right:
            nearest = min(fitting, key=lambda one: distance(query, one))
            yield wrong[nearest.oid] or "", corrected(query, nearest, catalogue)
        elif ambiguous := _ambiguous(query, right):
            shown = "; ".join(one.signature(catalogue) for one in ambiguous)
            yield (
                f"a call does not say which of these functions is meant: {shown}",
                "in the database: functions of different names, or fewer defaults",
            )
        else:
            yield from self._of_function(query, right)

    def _of_text(self, query: Any) -> Iterator[Problem]:
        problem, remark = problem_of_text(self._link, query)
        if problem:
            yield problem, ""
        elif (models := self._models.get(id(query))) and (row := described(self._link, query)):
            yield from problems_of_models(models, [name for name, *_ in row.columns])
        if remark:
            file, line = query.declared_at
            self._report.remarks.append(f"{file}:{line}: {remark}")

    def _of_function(self, query: Any, right: list[PgFunction]) -> Iterator[Problem]:
        function, catalogue = right[0], self.catalogue
        if not any(one.usable for one in right):
            yield (
                f"the role {catalogue.role} has no privilege to execute "
                f"{function.signature(catalogue)}",
                f"in the database: {_grant(function, catalogue)}",
            )
        yield from problem_of_number(query, right)
        if columns := catalogue.columns(function):
            names = [name for name, _ in columns]
            yield from problems_of_models(self._models.get(id(query), ()), names)
        other = self.declared[function.oid]
        if other is not query and not any(one.name for one in function.given):
            shared = min(len(other.args), len(query.args))
            if other.args[:shared] != query.args[:shared]:
                file, line = other.declared_at
                yield (
                    f"it is declared at {file}:{line}, too, with the arguments "
                    f"{', '.join(other.args)}",
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
