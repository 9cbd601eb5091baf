"""The Paster template `simpycity`: its variables, its checks, and where its files are.

`paster create` calls `check_vars`, then `run`, and then runs `setup.py egg_info` in the new
project. Whatever is refused is refused with one sentence on stderr before the first file is
written, and a project that could not be finished is removed again.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, ClassVar, NoReturn

import tempita
from paste.deploy.converters import asbool
from paste.script import copydir
from paste.script.templates import Template, var
from psycopg2.extensions import parse_dsn

from simpycity_template.settings import EMBEDDED, Settings

ENGINES = ("mako", "jinja2", "genshi")
PAGES = tuple(f".{suffix}_tmpl" for suffix in ("mako", "jinja2", "html"))

# The rule for names of distributions, without the dot, which no package can have.
NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?")
# Folders that a project makes beside its package when it is built or run.
TAKEN_FOLDERS = {"build", "data", "dist"}

PACKAGE = Path(__file__).parent.parent
PROJECT = PACKAGE / "project"
# Installed, the package's skeleton lies among the project's other files; in a checkout, at its top.
SKELETON_IN_CHECKOUT = PACKAGE.parent / "+package+"


def refuse(sentence: str) -> NoReturn:
    """End `paster create` with one sentence on stderr and exit code 1."""
    raise SystemExit(f"paster create: {sentence}")


def check_name(name: str, package: str) -> None:
    """Refuse a project name that pip, Python or the project's own imports would stumble over."""
    if not NAME.fullmatch(name):
        place = " The folder that it is written into is given with -o." if "/" in name else ""
        refuse(
            f"{name!r} cannot be a project's name: use letters, digits, '-' and '_', beginning "
            f"with a letter and ending with a letter or digit.{place}"
        )
    of_package = f"the package of {name!r} would be called {package!r}, "
    if not package.isidentifier() or not package.isascii() or keyword.iskeyword(package):
        refuse(of_package + "which Python cannot import; choose another name.")
    if package in TAKEN_FOLDERS:
        refuse(of_package + "a folder that the project needs for itself; choose another name.")
    if is_importable(package):
        refuse(of_package + "and hide the installed module of that name; choose another name.")
    if is_distribution(name):
        refuse(
            f"{name!r} cannot be a project's name: a distribution of that name is installed; "
            "choose another name."
        )


def is_importable(module: str) -> bool:
    """Tell whether a module of Python's own or an installed one has this name."""
    if module in sys.stdlib_module_names:
        return True
    spec = importlib.util.find_spec(module)
    # Without an origin it is just some folder on the path.
    return spec is not None and spec.origin is not None


def is_distribution(name: str) -> bool:
    """Tell whether a distribution of this name is installed; `use = egg:NAME` would find it."""
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_target(directory: str) -> None:
    """Refuse a place where the project cannot be written or would mix with other files."""
    if os.path.isdir(directory):
        if not os.access(directory, os.R_OK):
            refuse(f"{directory} exists and is not readable; choose another name or folder.")
        if os.listdir(directory):
            refuse(f"{directory} exists and has files in it; choose another name or folder.")
    elif os.path.lexists(directory):
        refuse(f"{directory} exists and is not a folder; choose another name or folder.")
    ground = os.path.abspath(directory)
    if "%" in ground:
        refuse(f"{ground} has a '%' in it, which INI files cannot have; choose another folder.")
    while not os.path.lexists(ground):
        ground = os.path.dirname(ground)
    if not os.access(ground, os.W_OK | os.X_OK):
        refuse(f"{ground} is not writable; choose another folder with -o.")


def check_known(given: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a variable that the template does not have, and name the one that was meant."""
    for name in given:
        if name not in known:
            meant = get_close_matches(name, known, n=1)
            hint = f"did you mean {meant[0]}?" if meant else f"there are {', '.join(known)}."
            refuse(f"there is no variable {name!r}: {hint}")


def engine(value: Any) -> str:
    """Return the name of a template engine; ValueError if it is none that we have pages for."""
    if value not in ENGINES:
        raise ValueError(f"template_engine is {value!r}: it must be one of {', '.join(ENGINES)}.")
    return value


def truth(value: Any) -> bool:
    """Return True or False; ValueError if the value says neither."""
    try:
        return asbool(value)
    except ValueError:
        raise ValueError(f"example is {value!r}: it must be True or False.") from None


def dsn(value: Any) -> str:
    """Return the DSN; ValueError if it is neither libpq's nor an embedded server's."""
    return Settings.from_config({"dsn": value}, prefix="").dsn


CHECKS: dict[str, Callable[[Any], Any]] = {"template_engine": engine, "example": truth, "dsn": dsn}


def database_of_tests(dsn: str, package: str) -> str:
    """Return the name of the database that the project's tests have for themselves."""
    database = package if dsn.startswith(EMBEDDED) else parse_dsn(dsn).get("dbname", package)
    return f"{database}_test"


def in_ini(value: str) -> str:
    """Write a value so that INI files give it back, where `%` begins a name as in `%(here)s`."""
    return re.sub(r"%(?!\(here\)s)", "%%", value)


def fill_in(content: str, vars: dict[str, Any], filename: str) -> str:
    """Fill in a file of the skeleton; in pages `{{…}}` is Jinja's, so there it is `[[…]]`."""
    delimiters = ("[[", "]]") if filename.endswith(PAGES) else ("{{", "}}")
    return tempita.Template(content, name=filename, delimiters=delimiters).substitute(vars)


class NewFolder:
    """Removes a project again, and the folders made for it, unless each `with` block ends well."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory).absolute()
        existed = self.directory.exists()
        self._made = [] if existed else [self.directory, *self.directory.parents]
        self._made = [folder for folder in self._made if not folder.exists()]

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        if self._made:
            shutil.rmtree(self.directory, ignore_errors=True)
            # Another project can have come into those around it.
            with suppress(OSError):
                for folder in self._made[1:]:
                    folder.rmdir()
        else:
            for entry in self.directory.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if isinstance(error, OSError):
            refuse(f"the project could not be written, and nothing was left behind: {error}.")


class SimpycityTemplate(Template):
    """`paster create -t simpycity NAME`."""

    summary = "Pylons application on PostgreSQL functions, with Simpycity"
    egg_plugins: ClassVar[list[str]] = ["PasteScript", "Pylons"]
    template_renderer = staticmethod(fill_in)
    vars: ClassVar[list[var]] = [
        var("template_engine", f"{', '.join(ENGINES)}: what the pages are written in", "mako"),
        var("example", "True/False: begin with a small notes page that works", True),
        var(
            "dsn",
            "PostgreSQL's connection string; embedded:DIRECTORY brings its own server",
            EMBEDDED + "%(here)s/data/postgres",
        ),
    ]

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # Made before the first question is asked, so Ctrl-C says one line from here on.
        sys.excepthook = _say_interrupted
        for ending in (signal.SIGTERM, signal.SIGHUP):
            # As nohup has it, SIGHUP is ignored.
            if signal.getsignal(ending) is signal.SIG_DFL:
                signal.signal(ending, _refuse_to_go_on)

    def template_dir(self) -> str:
        return str(PROJECT)

    def check_vars(self, vars: dict[str, Any], cmd: Any) -> dict[str, Any]:
        """Check what was given, ask for the rest, and return all variables of the project."""
        # PasteScript has taken a leading slash off the name already.
        check_name(cmd.args[0] if cmd.args else vars["project"], vars["package"])
        given = [assignment.split("=")[0] for assignment in cmd.args[1:]]
        check_known(given, [variable.name for variable in self.vars] + ["package"])
        try:
            checked = {name: CHECKS[name](vars[name]) for name in CHECKS if name in vars}
        except ValueError as error:
            refuse(str(error))
        check_target(os.path.join(cmd.options.output_dir, vars["project"]))
        for variable in self.vars:
            if variable.name not in checked:
                checked[variable.name] = self._ask(variable, cmd)
        vars.update(checked)
        return vars

    def _ask(self, variable: var, cmd: Any) -> Any:
        if not cmd.interactive:
            return variable.default
        while True:
            try:
                answer = cmd.challenge(f"Enter {variable.full_description()}", variable.default)
                return CHECKS[variable.name](answer)
            except ValueError as error:
                print(error)
            except EOFError:
                refuse("no one answers here; add --no-interactive, or give VAR=VALUE.")

    def run(self, command: Any, output_dir: str, vars: dict[str, Any]) -> None:
        """Write the project, and see to it that it is whole in the end or gone."""
        folder = NewFolder(output_dir)
        with folder:
            super().run(command, output_dir, _derived(vars))
        if not command.simulate:
            # PasteScript goes on with this, after its last hook, and does not mind a failure.
            command.run_command = _egg_info(folder, command, vars)

    def write_files(self, command: Any, output_dir: str, vars: dict[str, Any]) -> None:
        """Copy the project's files, then those of its package."""
        sources = [(PROJECT, output_dir)]
        if not (PROJECT / "+package+").is_dir():
            sources.append((SKELETON_IN_CHECKOUT, os.path.join(output_dir, vars["package"])))
        if not command.simulate:
            os.makedirs(output_dir, exist_ok=True)
        for source, target in sources:
            copydir.copy_dir(
                str(source),
                target,
                vars,
                verbosity=command.verbose,
                simulate=command.simulate,
                indent=1,
                svn_add=False,
                template_renderer=fill_in,
            )
        for ini in Path(output_dir).glob("*.ini"):
            # It has the secret of the sessions, and the password of a DSN.
            ini.chmod(0o600)


def _derived(vars: dict[str, Any]) -> dict[str, Any]:
    """Add what follows from the variables, in a copy: PasteScript may store its own in a file."""
    package = vars["package"]
    return {
        **vars,
        "dsn": in_ini(vars["dsn"]),
        "test_database": in_ini(database_of_tests(vars["dsn"], package)),
        # `root` is logging's own logger.
        "package_logger": "app" if package == "root" else package,
        "page": {"mako": ".mako", "jinja2": ".jinja2", "genshi": ".html"}[vars["template_engine"]],
        "session_secret": secrets.token_urlsafe(32),
    }


def _egg_info(folder: NewFolder, command: Any, vars: dict[str, Any]) -> Callable[..., Any]:
    """Return a `run_command` whose `setup.py egg_info` works or removes the project."""
    run_command = command.run_command

    def checked(*arguments: str, **options: Any) -> Any:
        if arguments[1:] != ("setup.py", "egg_info"):
            return run_command(*arguments, **options)
        with folder:
            done = subprocess.run(
                arguments, cwd=options["cwd"], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise OSError(f"setup.py egg_info failed with {_last_line(done.stderr)}")
        if command.verbose:
            print(_next_steps(options["cwd"], vars["template_engine"]))
        return done.stdout

    return checked


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _next_steps(directory: str, engine: str) -> str:
    missing = "" if importlib.util.find_spec(engine) else f"    pip install {engine}\n"
    return (
        f"Next:\n    cd {shlex.quote(os.path.relpath(directory))}\n{missing}"
        "    paster setup-app development.ini\n"
        "    paster serve --reload development.ini"
    )


def _refuse_to_go_on(number: int, frame: FrameType | None) -> NoReturn:
    """Take back, on the way out, what is written so far; the signal alone would leave it there."""
    refuse(f"ended by {signal.Signals(number).name}, and nothing was left behind.")


def _say_interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Show Ctrl-C as one line and everything else as ever."""
    if issubclass(kind, KeyboardInterrupt):
        print("\npaster create: interrupted, and nothing was left behind.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
