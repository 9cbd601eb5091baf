"""What `paster` says of a mistake that is not one of the application's code.

One sentence on stderr, in place of a traceback that leads through PasteScript. And
`paster serve --reload` waits until a mistake is mended, whatever it is.
"""

import configparser
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOENT
from functools import wraps
from importlib.metadata import PackageNotFoundError
from socket import gaierror
from threading import Event
from types import FrameType, TracebackType
from typing import Any

import pkg_resources

# The settings that say where a server listens.
ADDRESS = ("host", "port", "listen", "unix_socket")

# Of an address at which a server cannot listen; ENOENT is that of a folder for a socket.
NOWHERE = (EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOENT)

# Where waitress and Paste's own server read their settings.
READERS = ("waitress.adjustments", "paste.httpserver")

# What Paste calls in the standard library when it reads an INI file.
CALLED = (
    *("configparser", "codecs", "logging"),
    *("importlib", "_frozen_importlib", "_frozen_importlib_external"),
)


class Mistake(Exception):
    """One that was found here; its text is the sentence to tell."""


def told(run: Callable[[Any], Any]) -> Callable[..., Any]:
    """Decorator of PasteScript's ``run``: a known mistake ends it with a sentence and status 1."""

    @wraps(run)
    def run_and_tell(args=None):
        try:
            return run(args)
        except Exception as error:
            said = sentence(error)
            if said is None:
                raise
            sys.exit(said)
        except KeyboardInterrupt:
            # Python itself ends the process as the signal does, which a shell looks for.
            if sys.excepthook is sys.__excepthook__:
                sys.excepthook = _say_interrupted
            raise

    return run_and_tell


def _say_interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    print("\nInterrupted.", file=sys.stderr)


def tell_and_wait_for_change(error: Exception, reloader: Any) -> None:
    """Write to stderr what is wrong, and wait until the reloader ends the process, or Ctrl-C does.

    It is a sentence where it is a known mistake, else a traceback.
    """
    # It watches the modules that are loaded; a module that failed is none.
    for path in _files(error):
        reloader.watch_file(path)
    # Once a second it compares a file with how it first saw it: that is now, and not after whoever
    # reads of the mistake has mended it.
    for monitor in reloader.Monitor.instances:
        monitor.check_reload()
    said = sentence(error)
    if said is None:
        traceback.print_exception(error)
    else:
        print(said, file=sys.stderr)
    with suppress(KeyboardInterrupt):
        Event().wait()


def _files(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            yield error.filename
        for frame, _ in traceback.walk_tb(error.__traceback__):
            yield frame.f_code.co_filename
        error = error.__cause__ or error.__context__


def sentence(error: Exception) -> str | None:
    """Return what to tell of a mistake, or None of an error that needs its traceback."""
    # Not before it is needed: this module is imported by all of paster's commands.
    # That module imports this one.
    from paste.script.command import BadCommand

    if isinstance(error, Mistake):
        return str(error)
    if isinstance(error, BadCommand):
        return error.message
    if getattr(error, "is_sentence", False):
        return str(error)
    if isinstance(error, pkg_resources.ResolutionError):
        return _of_requirement(error)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    # PasteDeploy's, around the server that an INI file names.
    if server := _called(frames, "paste.deploy.loadwsgi", "server_wrapper"):
        return _of_server(
            error, server.f_locals["context"], frames[-1].f_globals.get("__name__", "")
        )
    if not _is_of_paste(frames):
        return None
    if isinstance(error, EOFError):
        return "\nNo one answers here; add --no-interactive."
    if isinstance(error, FileNotFoundError):
        return _of_missing(error.filename)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return _of_file(error, frames)


def _called(frames: list[FrameType], module: str, name: str) -> FrameType | None:
    """Return the first call of a function that an error came through."""
    for frame in frames:
        if (frame.f_globals.get("__name__", ""), frame.f_code.co_name) == (module, name):
            return frame
    return None


def _of_requirement(error) -> str | None:
    if isinstance(error, pkg_resources.VersionConflict):
        needing, lack = getattr(error, "required_by", ()), f"and {error.dist.version} is installed"
    elif isinstance(error, pkg_resources.DistributionNotFound):
        needing, lack = error.requirers, "which is not installed"
        if not needing:
            return f"{error.req} is not installed here."
    else:
        return None
    needing = " and ".join(sorted(needing)) or "This"
    return f'{needing} needs {error.req}, {lack}: pip install "{error.req}"'


def load_server(uri: str, **where: Any) -> Callable[[Any], None]:
    """Load the server that an INI file names, as PasteDeploy's ``loadserver`` does.

    It refuses a port that there is not: of 99999 waitress would take the lower 16 bits, 34463.

    Raises:
        Mistake: where a number is not one of a port.
    """
    from paste.deploy.loadwsgi import SERVER, loadcontext

    context = loadcontext(SERVER, uri, **where)
    for key in ("port", "listen"):
        for address in context.local_conf.get(key, "").split():
            port = re.search(r"(?:\A|:)(-?[0-9]+)\Z", address)
            if port and not 0 <= int(port[1]) <= 65535:
                raise Mistake(_refused(context, "a port is a number from 0 to 65535"))
    return context.create()


def _of_server(error: Exception, context: Any, origin: str) -> str | None:
    if isinstance(error, OSError) and (isinstance(error, gaierror) or error.errno in NOWHERE):
        return f"The server cannot listen ({_address(context)}): {error.strerror}"
    if origin in READERS and isinstance(error, (ValueError, TypeError)):
        return _refused(context, error)
    return None


def _refused(context: Any, why: object) -> str:
    return f"{_ini(context)}: the server does not take its settings ({_address(context)}): {why}"


def _address(context: Any) -> str:
    settings = context.local_conf
    return ", ".join(f"{key} = {settings[key]}" for key in ADDRESS if key in settings)


def _ini(context: Any) -> str:
    """Return the file that a part of the application is loaded from; an egg has none."""
    return context.global_conf.get("__file__", "The application")


def _is_of_paste(frames: list[FrameType]) -> bool:
    """Tell whether an error was raised by Paste's own code, and not by what that called."""
    names = [frame.f_globals.get("__name__", "") for frame in frames]
    while names and names[-1].partition(".")[0] in CALLED:
        names.pop()
    return bool(names) and names[-1].startswith(("paste.deploy.", "paste.script.command"))


def _of_missing(path: str) -> str:
    folder, name = os.path.split(path)
    with suppress(OSError):
        for meant in get_close_matches(name, os.listdir(folder or "."), n=1):
            return f"There is no file {path}; is {meant} meant?"
    return f"There is no file {path}"


def _of_file(error: Exception, frames: list[FrameType]) -> str | None:
    """Say what is wrong in an INI file; no value of a setting, which may be a password."""
    readers: list[Any] = [frame.f_locals.get("self") for frame in frames]
    files = [reader.filename for reader in readers if hasattr(reader, "filename")]
    if loading := _called(frames, "paste.deploy.loadwsgi", "invoke"):
        files.append(_ini(loading.f_locals["context"]))
    if logging := _called(frames, "paste.script.command", "logging_file_config"):
        files.append(logging.f_locals["config_file"])
    where = files[-1] if files else getattr(error, "source", "The INI file")
    if isinstance(error, configparser.InterpolationError):
        if error.option in ("here", "__file__"):
            return f"{where}: INI files cannot be read in a folder with a % in its name."
        return (
            f"{where}: [{error.section}] {error.option}: write %% for a % that stands for itself; "
            "%(name)s stands for another setting."
        )
    if isinstance(error, configparser.DuplicateOptionError):
        return f"{where}, line {error.lineno}: [{error.section}] has {error.option} already."
    if isinstance(error, configparser.DuplicateSectionError):
        return f"{where}, line {error.lineno}: there is a [{error.section}] already."
    if isinstance(error, configparser.ParsingError):
        line = getattr(error, "lineno", None) or error.errors[0][0]
        return f"{where}, line {line}: neither a [section], nor a `name = value` below one."
    if isinstance(error, PackageNotFoundError):
        return (
            f"{where}: {error.name} is not installed; "
            "where that is its project: pip install --editable ."
        )
    if isinstance(error, UnicodeDecodeError):
        return f"{where}: this is not UTF-8; save the file as UTF-8."
    if frames[-1].f_code.co_name == "asbool":
        return f"{where}: {frames[-1].f_locals['obj']!r} stands where only true or false can."
    if logging:
        return f"{where}: logging cannot be set up like this: {type(error).__name__}: {error}"
    if type(error) in (LookupError, ModuleNotFoundError):
        return str(error) if where in str(error) else f"{where}: {error}"
    return None
