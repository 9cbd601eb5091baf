"""Writes the declarations of a schema's functions, in a file that can be written again."""

import keyword
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from simpycity_template.functions.catalogue import Catalogue, PgFunction
from simpycity_template.functions.written import argument_names, line_of

MARK = "# Written by `paster functions --write`."
WIDTH = 100
_IMPORTED = ("Function", "FunctionSingle")


class WriteError(Exception):
    """A file cannot be written; the message says why, and what to do."""


def declarations(catalogue: Catalogue, schema: str | None = None) -> str:
    """The text of a module that declares each function of a schema, in the order of their names.

    Arguments:
        catalogue: of the database.
        schema: its name; by default the first schema of the search path.

    Raises:
        WriteError: there is no such schema.
    """
    schema = schema or next(name for name in catalogue.search_path if name != "pg_catalog")
    if schema not in catalogue.schemas:
        near = get_close_matches(schema, catalogue.schemas, 1)
        meaning = (
            f"did you mean {near[0]}?" if near else f"there are {', '.join(catalogue.schemas)}"
        )
        raise WriteError(f"there is no schema {schema!r} in {catalogue.database}: {meaning}")
    functions = [
        one for one in catalogue.functions if one.schema == schema and one.ours and one.kind in "fp"
    ]
    imports = sorted({line_of(one, catalogue).partition("(")[0] for one in functions})
    lines = [
        f'"""The functions of the schema {_in_docstring(schema)}, each declared in a line."""',
        "",
        MARK,
        "# A change in this file is lost when it is written again.",
    ]
    if imports:
        lines += ["", f"from simpycity.core import {', '.join(imports)}"]
    taken: set[str] = set()
    for function in sorted(functions, key=_order):
        lines += ["", *_comment(function)]
        if other := _alike(function, functions):
            lines.append(
                f"# {function.signature(catalogue)}: a call of it cannot be told from one of "
                f"{other.signature(catalogue)}"
            )
            continue
        name = _python_name(function, taken)
        taken.add(name)
        lines += _wrapped(f"{name} = {line_of(function, catalogue)}")
    return "\n".join(lines) + "\n"


def _order(function: PgFunction) -> tuple[str, int, list[str]]:
    """The same on every server, whatever its collation is."""
    return function.name, len(function.given), [one.type_name for one in function.given]


def write(path: str | Path, text: str) -> None:
    """Put a text in place of a file in one step.

    Raises:
        WriteError: the file was written by hand, or cannot be written.
    """
    path = Path(path)
    before = current(path)
    if before is not None and "# Written by `paster functions --" not in before:
        raise WriteError(
            f"{path} was not written by this command: name another file, or move that one away"
        )
    try:
        replace(path, text)
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror}") from error


def current(path: str | Path) -> str | None:
    """What stands in a file; None where there is none.

    Raises:
        WriteError: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise WriteError(f"{path} cannot be read: {error}") from error


def replace(path: Path, text: str) -> None:
    """Write a file beside the one that it takes the place of, then put it there."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        os.chmod(name, mode & 0o777)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _comment(function: PgFunction) -> list[str]:
    return [f"# {line}".rstrip() for line in (function.comment or "").splitlines()]


def _in_docstring(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _alike(function: PgFunction, others: Iterable[PgFunction]) -> PgFunction | None:
    """One that has more parameters, all with defaults, and is else the same."""
    types = [one.type for one in function.given]
    for other in others:
        rest = other.given[len(types) :]
        if (
            other is not function
            and other.name == function.name
            and other.kind == function.kind
            and rest
            and all(one.has_default for one in rest)
            and [one.type for one in other.given[: len(types)]] == types
        ):
            return other
    return None


def _python_name(function: PgFunction, taken: set[str]) -> str:
    """A name that Python can have: of the function, or with its arguments where that is taken."""
    name = identifier(function.name)
    if name in taken:
        name = identifier("_".join([function.name, *argument_names(function)]))
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def identifier(name: str) -> str:
    """A name of PostgreSQL as one of Python: ``class_``, ``_1st``, ``ünïcode``."""
    # Python does the same to the names that it reads.
    name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", name))
    if not name.isidentifier():
        name = f"_{name}"
    if keyword.iskeyword(name) or name in _IMPORTED:
        name = f"{name}_"
    return name if name.isidentifier() else "_"


def _wrapped(line: str) -> list[str]:
    """A line that is too long, over several."""
    if len(line) < WIDTH:
        return [line]
    head, _, inner = line.partition("(")
    inner = inner[:-1]
    if len(inner) + 4 < WIDTH:
        return [f"{head}(", f"    {inner}", ")"]
    name, _, rest = inner.partition(", [")
    names, _, options = rest.partition("]")
    return [
        f"{head}(",
        f"    {name},",
        "    [",
        *(
            f"        {one},"
            for one in re.findall(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', names)
        ),
        "    ],",
        *(f"    {option}," for option in options.removeprefix(", ").split(", ") if option),
        ")",
    ]
