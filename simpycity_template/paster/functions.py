"""``paster functions``: whether the declared functions are those of the database."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, ClassVar

import psycopg2
from paste.deploy import loadwsgi
from paste.script.command import BadCommand, Command
from psycopg2.extensions import connection as psycopg2_connection
from simpycity import config as simpycity_config

from simpycity_template.functions.application import (
    ModelError,
    declared_by,
    import_modules,
    place,
)
from simpycity_template.functions.catalogue import Catalogue
from simpycity_template.functions.check import Report, check
from simpycity_template.functions.finding import Finding
from simpycity_template.functions.stubs import stub
from simpycity_template.functions.write import WriteError, current, declarations, write
from simpycity_template.functions.written import is_function
from simpycity_template.manager import Manager
from simpycity_template.paster.application import managers_of
from simpycity_template.process.pipes import reader_may_leave
from simpycity_template.simpycity_patches.handle import manager_of


class FunctionsCommand(Command):
    """What ``paster`` runs; one call of ``command()`` is one command line."""

    summary = "Compare the declared functions with those of the database"
    description = """\
    Sets each Function, FunctionSingle, Query, QuerySingle and Raw of the application beside the
    database, and lists what is wrong with file and line, and what the database has that is not
    declared. Statements are prepared and not executed; nothing is changed.

    With --write it writes the declarations of a schema's functions to a module instead, and with
    --stubs the types of what is declared.

    Exit status: 0; 1 where something is wrong, and with --check where the file would change; 2
    where it could not be found out."""
    usage = "CONFIG_FILE"
    group_name = "simpycity"
    min_args = max_args = 1
    min_args_error = "Name the application's INI file: paster functions development.ini"
    max_args_error = "Name one INI file: paster functions development.ini"

    parser = Command.standard_parser(verbose=False)
    parser.add_option("--json", action="store_true", help="print one JSON document, for scripts")
    parser.add_option(
        "--deep",
        action="store_true",
        help="also check the functions' bodies, by the extension plpgsql_check",
    )
    parser.add_option(
        "--write", metavar="FILE", help="write the declarations of a schema's functions to a module"
    )
    parser.add_option(
        "--stubs",
        action="store_true",
        help="write .pyi files beside the modules that declare functions, for editors and mypy",
    )
    parser.add_option(
        "--schema", metavar="NAME", help="with --write: which; by default the search path's first"
    )
    parser.add_option(
        "--check",
        action="store_true",
        help="with --write or --stubs: change nothing; exit with 1 where a file would change",
    )

    options: ClassVar[Any]
    args: ClassVar[Any]

    def command(self) -> int:
        """Check the declarations of each manager of the application."""
        options = self.options
        if options.schema and not options.write:
            raise BadCommand("--schema belongs to --write FILE")
        if options.check and not (options.write or options.stubs):
            raise BadCommand("--check belongs to --write FILE or --stubs")
        managers = managers_of(self.args[0])
        if options.write:
            manager = manager_of(simpycity_config)
            return self._write(manager if manager in managers else managers[0])
        package = package_of(self.args[0])
        try:
            import_modules(package)
        except ModelError as error:
            raise BadCommand(f"{self.args[0]}: {error}") from error
        if options.stubs:
            return max(self._stubs(manager, package) for manager in managers)
        reports = [(manager, report_of(manager, package, options.deep)) for manager in managers]
        with reader_may_leave():
            if self.options.json:
                found = [as_json(manager, report) for manager, report in reports]
                print(json.dumps(found, indent=2))
            else:
                for manager, report in reports:
                    show(manager, report)
        return int(any(report.findings for _, report in reports))

    def _write(self, manager: Manager) -> int:
        try:
            with connected(manager) as link:
                text = declarations(Catalogue(link), self.options.schema)
        except WriteError as error:
            raise BadCommand(str(error)) from error
        return self._put(self.options.write, text)

    def _stubs(self, manager: Manager, package: str) -> int:
        queries = declared_by(package, manager)
        files = {query.declared_at[0] for query in queries}
        modules = [
            module
            for name, module in sorted(sys.modules.items())
            if name.partition(".")[0] == package and getattr(module, "__file__", None) in files
        ]
        with connected(manager) as link:
            catalogue = Catalogue(link, [one.query_base for one in queries if is_function(one)])
            texts = {
                str(module.__file__) + "i": stub(module, link, catalogue) for module in modules
            }
        return max((self._put(os.path.relpath(path), texts[path]) for path in texts), default=0)

    def _put(self, path: str, text: str) -> int:
        """Write a file, or only say whether it would change."""
        try:
            if current(path) == text:
                print(f"{path} is as the database is")
                return 0
            if self.options.check:
                print(f"{path} is not as the database is: write it again without --check")
                return 1
            write(path, text)
        except WriteError as error:
            raise BadCommand(str(error)) from error
        print(f"{path} is written")
        return 0


def package_of(ini: str) -> str:
    """The top package of the application of an INI file."""
    context = loadwsgi.loadcontext(loadwsgi.APP, f"config:{ini}", relative_to=os.getcwd())
    while hasattr(context, "app_context"):
        context = context.app_context
    name: str = context.object.__module__
    return name.partition(".")[0]


def report_of(manager: Manager, package: str, deep: bool = False) -> Report:
    """Check what a package declares for a manager's database.

    Raises:
        BadCommand: the database cannot be reached, or does not tell.
    """
    with connected(manager) as link:
        return check(link, declared_by(package, manager), deep)


@contextmanager
def connected(manager: Manager) -> Iterator[psycopg2_connection]:
    """A connection to a manager's database, which is none of the application's.

    Raises:
        BadCommand: the database cannot be reached, or does not tell.
    """
    try:
        link = psycopg2.connect(manager.dsn(), application_name="simpycity_template functions")
        try:
            yield link
        finally:
            link.close()
    except (psycopg2.Error, RuntimeError) as error:
        raise BadCommand(
            f"PostgreSQL does not tell about the functions of {manager.name!r}: "
            f"{str(error).strip()}"
        ) from None


# --- output ---


def as_json(manager: Manager, report: Report) -> dict[str, Any]:
    """A report as JSON has it."""
    return {"manager": manager.name, **asdict(report)}


def summary(manager: Manager, report: Report) -> str:
    """One line that says how many declarations there are, and how many are wrong."""
    wrong = len({(one.file, one.line, one.declaration) for one in report.findings})
    checked = f"{report.checked} declaration{'s' * (report.checked != 1)}"
    said = f"{wrong} wrong" if wrong else "none is wrong"
    return f"{manager.name}: {checked}, {said}"


def show(manager: Manager, report: Report) -> None:
    """Print a table to a terminal, and text without colours or frames to a pipe."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(_picture(manager, report))
        return
    print(summary(manager, report))
    for one in report.findings:
        print(f"{_where(one)}: {one.declaration}: {one.problem}")
        if one.instead:
            print(f"    instead: {one.instead}")
    if report.undeclared:
        print("In the database and not declared:")
        for line in report.undeclared:
            print(f"    {line}")
    for remark in report.remarks:
        print(remark)


def _where(finding: Finding) -> str:
    if finding.file:
        return place(finding.file, finding.line)
    return f"in the database, line {finding.line}"


def _picture(manager: Manager, report: Report) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("Declaration", "What is wrong", "Instead", expand=True)
    for one in report.findings:
        declared = f"{_where(one)}\n{one.declaration}"
        # Texts, not strings: in those rich would take [brackets] for markup.
        table.add_row(
            *(Text(cell, overflow="fold") for cell in (declared, one.problem, one.instead))
        )
    parts: list[Any] = [Text(summary(manager, report), style="bold")]
    if report.findings:
        parts.append(table)
    if report.undeclared:
        parts.append(Text("In the database and not declared:"))
        parts += [Text(f"    {line}", style="green") for line in report.undeclared]
    parts += [Text(remark, style="yellow") for remark in report.remarks]
    return Group(*parts)
