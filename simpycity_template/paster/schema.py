"""``paster schema``: what ``setup-app`` would apply, and whether the database is as the files say."""

import sys
from typing import Any, ClassVar

import psycopg2
from paste.script.command import BadCommand, Command

from simpycity_template.paster.application import managers_of
from simpycity_template.process.pipes import reader_may_leave
from simpycity_template.schema import Schema, SchemaError, schemas


class SchemaCommand(Command):
    """What ``paster`` runs; one call of ``command()`` is one command line."""

    summary = "Show what setup-app would apply, or compare the database with the files"
    description = """\
    Lists the migrations, those that are new with their text, and whether schema.sql has changed.
    With --check it makes an empty database out of the files, compares the application's with it,
    and drops it again.

    Exit status: 0; 1 where setup-app would refuse the files, and with --check where something is
    different; 2 where it could not be found out."""
    usage = "CONFIG_FILE"
    group_name = "simpycity"
    min_args = max_args = 1
    min_args_error = "Name the application's INI file: paster schema development.ini"
    max_args_error = "Name one INI file: paster schema development.ini"

    parser = Command.standard_parser(verbose=False)
    parser.add_option(
        "--check", action="store_true", help="compare the database with what the files make"
    )

    options: ClassVar[Any]
    args: ClassVar[Any]

    def command(self) -> int:
        """Show each schema of the application; the worst status counts."""
        names = [manager.name for manager in managers_of(self.args[0])]
        found = [schema for name, schema in schemas().items() if name in names]
        if not found:
            raise BadCommand(
                f"{self.args[0]}: the application does not say where its migrations are; "
                "model/meta.py does: schema = Schema(manager, Path(__file__).parent)"
            )
        with reader_may_leave():
            return max(self._show(schema) for schema in found)

    def _show(self, schema: Schema) -> int:
        try:
            return check(schema) if self.options.check else show(schema)
        except SchemaError as error:
            print(error, file=sys.stderr)
            return 1
        except (psycopg2.Error, RuntimeError) as error:
            raise BadCommand(
                f"PostgreSQL does not tell about the schema of {schema.manager.name!r}: "
                f"{str(error).strip()}"
            ) from None


def show(schema: Schema) -> int:
    """Print what is applied and what is new."""
    plan = schema.plan()
    for script in plan.applied:
        print(f"applied {plan.history[script.name].when}  {script.path}")
    for script in plan.new:
        print(f"new                       {script.path}")
    functions = plan.functions
    if functions is not None:
        print(f"{plan.state_of_functions:<24}  {functions.path}")
    for script in plan.new:
        print(f"\n-- {script.path}\n{script.text.strip()}")
    return 0


def check(schema: Schema) -> int:
    """Print how the database differs from what the files make."""
    for script in schema.plan().new:
        print(f"not applied yet: {script.path}")
    comparison = schema.compare()
    for difference in comparison.differences:
        print(difference)
    if comparison.unseen:
        print(comparison.unseen, file=sys.stderr)
    if comparison.differences:
        return 1
    if comparison.unseen:
        return 2
    print("The database is as the files say.")
    return 0
