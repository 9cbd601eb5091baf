"""``paster psql`` and ``paster dsn``: other programs on the application's database."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from paste.script.command import BadCommand, Command
from psycopg2.extensions import make_dsn, parse_dsn

from simpycity_template.driver.conninfo import given_parameters
from simpycity_template.manager import Manager
from simpycity_template.paster.application import managers_of
from simpycity_template.process.interrupt import terminable
from simpycity_template.settings import EMBEDDED

SERVICE = "paster"
"""What the service file that clients are given calls the database."""


class ClientCommand(Command):
    """What both have: an INI file, and one of its application's managers."""

    group_name = "simpycity"
    min_args = 1
    options: ClassVar[Any]
    args: ClassVar[Any]

    def manager(self) -> Manager:
        """The manager that is meant."""
        managers = {one.name: one for one in managers_of(self.args[0])}
        names = ", ".join(managers)
        if self.options.manager is None and len(managers) > 1:
            raise BadCommand(f"{self.args[0]} has several databases: add --manager= one of {names}")
        name = self.options.manager or names
        if name not in managers:
            raise BadCommand(f"{self.args[0]} has no manager {name!r}, but {names}")
        return managers[name]


def dsn_of(manager: Manager) -> str:
    """The DSN, after an embedded server was started."""
    try:
        return manager.dsn()
    except RuntimeError as error:
        raise BadCommand(str(error)) from None


def with_options() -> Any:
    """A parser that leaves a client's own options alone."""
    parser = Command.standard_parser(verbose=False)
    parser.disable_interspersed_args()
    parser.add_option(
        "--manager", metavar="NAME", help="whose database, where the application has several"
    )
    return parser


class PsqlCommand(ClientCommand):
    """What ``paster`` runs; one call of ``command()`` is one command line."""

    summary = "Open psql, or another client, on the application's database"
    description = """\
    Runs psql, with the options that follow the INI file, or the command that follows it, for
    example pg_dump, pgcli or alembic. It
    finds the database in its environment: libpq's clients by PGSERVICE, and others by DATABASE_URL,
    a URL that SQLAlchemy takes. No password stands in a command line. An embedded server stays up
    as long as the command runs. Exit status: that of the command."""
    usage = "CONFIG_FILE [[COMMAND] ARGUMENTS]"
    min_args_error = "Name the application's INI file: paster psql development.ini"
    parser = with_options()

    def command(self) -> int:
        """Run the client."""
        manager = self.manager()
        dsn = dsn_of(manager)
        line = self.args[1:]
        if not line or line[0].startswith("-"):
            line = ["psql", *line]
        settings = manager.settings
        embedded = settings is not None and settings.dsn.startswith(EMBEDDED)
        program = (embedded and own_program(line[0])) or shutil.which(line[0])
        if program is None:
            raise BadCommand(f"There is no program {line[0]}; install it, or name another one.")
        with tempfile.TemporaryDirectory(prefix="paster-psql-") as folder:
            file = Path(folder, "pg_service.conf")
            file.write_text(service_file(dsn))
            environment = {
                **os.environ,
                "PGSERVICEFILE": str(file),
                "PGSERVICE": SERVICE,
                "DATABASE_URL": url(dsn),
            }
            # A file would stay behind where we are killed.
            if password := given_parameters(dsn).get("password"):
                environment["PGPASSWORD"] = password
            return run([program, *line[1:]], environment)


class DsnCommand(ClientCommand):
    """What ``paster`` runs; one call of ``command()`` is one command line."""

    summary = "Print the DSN of the application's database"
    description = """\
    Prints the DSN that connections are opened with, password included. An embedded server is up
    while a process uses it: with --keep this one stays until Ctrl-C or the end of its input."""
    usage = "CONFIG_FILE"
    max_args = 1
    min_args_error = max_args_error = "Name one INI file: paster dsn development.ini"
    parser = with_options()
    parser.add_option("--url", action="store_true", help="print a URL, as SQLAlchemy takes it")
    parser.add_option("--keep", action="store_true", help="keep an embedded server up")

    def command(self) -> int:
        """Print it."""
        dsn = dsn_of(self.manager())
        print(url(dsn) if self.options.url else make_dsn(**parse_dsn(dsn)), flush=True)
        if self.options.keep:
            try:
                sys.stdin.read()
            except KeyboardInterrupt:
                pass
        return 0


def run(line: list[str], environment: dict[str, str]) -> int:
    """Run a client to its end, and return its exit status.

    The terminal sends Ctrl-C to the client, too, which knows what to do: psql cancels a statement and
    goes on. What ends us ends the client.
    """
    before = signal.getsignal(signal.SIGINT)
    # Where it is ignored, the client is to ignore it, too. A handler is not inherited.
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with terminable(), subprocess.Popen(line, env=environment) as client:
            try:
                return client.wait()
            except SystemExit:
                client.terminate()
                raise
    finally:
        signal.signal(signal.SIGINT, before)


def own_program(name: str) -> str | None:
    """Return a program that came with the embedded server, in its version; None of another name."""
    from simpycity_template import embedded

    return shutil.which(name, path=str(embedded.find_programs()))


def service_file(dsn: str) -> str:
    """Return a service file with the database of a DSN, which may itself name a service.

    The password is not in it.
    """
    left_out = ("service", "password")
    parameters = {
        name: value for name, value in given_parameters(dsn).items() if name not in left_out
    }
    lines = [f"{name}={value}" for name, value in parameters.items() if value]
    return "\n".join([f"[{SERVICE}]", *lines, ""])


def url(dsn: str) -> str:
    """Return a DSN as a URL, as SQLAlchemy takes it."""
    given = {name: value for name, value in parse_dsn(dsn).items() if value}
    user, password = given.pop("user", ""), given.pop("password", "")
    host, port, name = given.pop("host", ""), given.pop("port", ""), given.pop("dbname", "")
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    if "/" in host or "," in host or not host:
        # The folder of a socket, or several hosts.
        given.update({key: value for key, value in {"host": host, "port": port}.items() if value})
        where = ""
    else:
        where = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    if quote(name, safe="") != name:
        # SQLAlchemy before 2.1 takes the path as it stands.
        given["dbname"], name = name, ""
    query = f"?{urlencode(given, quote_via=quote)}" if given else ""
    return f"postgresql+psycopg2://{who}{'@' if who else ''}{where}/{name}{query}"
