"""What is corrected in the installed packages, one entry for each thing, and why.

The entries are in files by package. What concerns whole modules is here.

To add an entry: name the thing, the module, and why it does not work as installed; `old` is a
piece of the installed text as short as it can be while it is found exactly `times` times, and
`new` is what stands there instead, in as many lines. Python 2 syntax and renamed modules of
the standard library need no entry: fissix translates them afterwards. In modules that are
translated, ``_py3`` is ``runtime.py``.
"""

import os
from contextlib import suppress
from typing import NamedTuple

from simpycity_template.pylons_py3.corrections import (
    of_paste,
    of_pylons,
    of_templates,
    of_webhelpers,
)
from simpycity_template.pylons_py3.corrections.entry import Correction

# Translated whole: the code of these packages is Python 2.
TRANSLATED = frozenset({"pylons", "webhelpers"})

# The only versions that the corrections are made for.
VERSIONS = {"pylons": ("Pylons", "1.0.3"), "webhelpers": ("WebHelpers", "1.3")}


class Replacement(NamedTuple):
    """A module in whose place another one is imported, with all below it."""

    module: str
    by: str
    why: str


REPLACEMENTS = [
    Replacement(
        "webhelpers.html.secure_form",
        "webhelpers.pylonslib.secure_form",
        why="Pylons looks for it here first; WebHelpers 1.3 has it there.",
    ),
    Replacement(
        "webhelpers.textile",
        "simpycity_template.pylons_py3.textile",
        why="It needs sgmllib, which is gone; the textile package is its kept successor.",
    ),
    Replacement(
        "nose",
        "simpycity_template.pylons_py3.nose",
        why="nose 1.3.7 cannot be imported on current Pythons, and tests take their assertions from it.",
    ),
    Replacement(
        "weberror.evalexception",
        "simpycity_template.pylons_py3.errors",
        why="The debugger is backlash's, the kept successor of WebError's.",
    ),
    Replacement(
        "weberror.errormiddleware",
        "simpycity_template.pylons_py3.errors",
        why="The report by log and mail is backlash's, too.",
    ),
]


class Missing(NamedTuple):
    """A module that is not carried to Python 3."""

    module: str
    instead: str


MISSING = [
    Missing("webhelpers.pylonslib._jsmin", "the jsmin package"),
    Missing("weberror.collector", "backlash.tbtools.get_current_traceback"),
    Missing("weberror.evalcontext", "backlash.console.Console"),
    Missing("weberror.formatter", "the traceback module, or backlash.tbtools.Traceback"),
    Missing("weberror.pdbcapture", "weberror.evalexception.EvalException"),
    Missing("weberror.reporter", "backlash.tracing.reporters"),
    Missing("weberror.util", "backlash.utils"),
    Missing("weberror.exceptions", "weberror.errormiddleware"),
]


CORRECTIONS: list[Correction] = [
    *of_pylons.CORRECTIONS,
    *of_webhelpers.CORRECTIONS,
    *of_paste.CORRECTIONS,
    *of_templates.CORRECTIONS,
]

_CORRECTED = frozenset(correction.module for correction in CORRECTIONS)


def replacement(name: str) -> str | None:
    """Return the module that is imported in place of `name`, if there is one."""
    for module, by, _ in REPLACEMENTS:
        if name == module or name.startswith(module + "."):
            return by + name[len(module) :]
    return None


def check_carried(name: str) -> None:
    """Refuse a module that is not carried to Python 3, and name what to use instead.

    Raises:
        ImportError: where it is one of those.
    """
    for module, instead in MISSING:
        if name == module:
            raise ImportError(
                f"{name} is not carried to Python 3; use instead: {instead}.", name=name
            )


def is_translated(name: str) -> bool:
    """Say whether a module is Python 2 code."""
    return name.partition(".")[0] in TRANSLATED


def concerns(name: str) -> bool:
    """Say whether a module is translated or corrected."""
    return is_translated(name) or name in _CORRECTED


def check_version(package: str, paths: list[str] | None) -> None:
    """Refuse a package in another version than that of the corrections.

    Arguments:
        package: the name that is imported.
        paths: where it is installed.

    Raises:
        ImportError: where a folder of metadata beside it says another version.
    """
    if package not in VERSIONS:
        return
    name, version = VERSIONS[package]
    for path in paths or ():
        with suppress(OSError):
            # The names of these folders say it; importlib.metadata takes long to load.
            for beside in os.listdir(os.path.dirname(path)):
                found = beside.lower().removesuffix(".dist-info").removesuffix(".egg-info")
                if beside.lower() != found and found.startswith(f"{package}-"):
                    _check_version(name, version, found.split("-")[1], package)


def _check_version(name: str, version: str, found: str, package: str) -> None:
    if found != version:
        raise ImportError(
            f"{name} {found} cannot be imported: only {name} {version} is corrected for "
            f'Python 3; install it with: pip install "{name}=={version}"',
            name=package,
        )


def correct(source: str, module: str) -> str:
    """Apply the corrections of a module to its installed text.

    Raises:
        ImportError: where an entry does not fit Python 2 code, because the text is not that of
            the release that the entry was written for. Elsewhere a later release may be
            installed, and the entry is left out.
    """
    for entry in CORRECTIONS:
        if entry.module == module:
            if source.count(entry.old) == entry.times:
                source = source.replace(entry.old, entry.new)
            elif is_translated(module):
                raise ImportError(
                    f"{module} cannot be corrected for Python 3: the text of "
                    f'"{entry.name}" is not in it as expected; install the release again.',
                    name=module,
                )
    return source
