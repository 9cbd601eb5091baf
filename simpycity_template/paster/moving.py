"""``paster moving``: what to change in an application of Python 2, with file and line."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from fissix.pgen2 import token, tokenize
from paste.script.command import BadCommand, Command

from simpycity_template.process.pipes import reader_may_leave
from simpycity_template.pylons_py3.moving import Place, files, places


class MovingCommand(Command):
    """What ``paster`` runs; one call of ``command()`` is one command line."""

    summary = "List what to change in an application of Python 2, with file and line"
    description = """\
    Reads an application that was written for Python 2, and lists what a person has to change or
    to look at; fissix translates the rest. It changes nothing and imports nothing. With --write it
    runs fissix, and makes spaces of tabs at the beginning of lines of code: look at the difference in
    version control, and list again.

    Exit status: 0; 1 where there is something to look at; 2 where the folder cannot be read, or
    fissix failed."""
    usage = "FOLDER"
    group_name = "simpycity"
    min_args = max_args = 1
    min_args_error = "Name the application's folder: paster moving ."
    max_args_error = "Name one folder: paster moving ."

    parser = Command.standard_parser(verbose=False)
    parser.add_option("--write", action="store_true", help="translate the code with fissix first")

    options: ClassVar[Any]
    args: ClassVar[Any]

    def command(self) -> int:
        """List what is found."""
        folder = Path(self.args[0])
        if not folder.is_dir():
            raise BadCommand(f"{folder} is no folder: name that of the application's setup.py.")
        try:
            if self.options.write:
                translate(folder)
            found = list(places(folder))
        except OSError as error:
            raise BadCommand(f"{error.filename}: {error.strerror}") from None
        with reader_may_leave():
            show(folder, found)
        return 1 if found else 0


def translate(folder: Path) -> None:
    """Translate the Python files of a folder in their places.

    Raises:
        BadCommand: there are none, or fissix failed; what it had translated by then stays.
    """
    code = [file for file in files(folder) if file.suffix == ".py"]
    if not code:
        raise BadCommand(
            f"{folder} has no Python file: name the folder of the application's setup.py."
        )
    for file in code:
        text = file.read_bytes()
        spaced = _without_tabs(text)
        if spaced != text:
            file.write_bytes(spaced)
    fissix = [sys.executable, "-m", "fissix", "--write", "--nobackups", "--no-diffs"]
    done = subprocess.run(
        [*fissix, *(str(file.absolute()) for file in code)],
        # Python looks for modules there first: in the application's folder fissix would import string.py.
        cwd=sys.prefix, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "Error" in line or "Can't" in line]
        raise BadCommand("fissix failed: " + (" ".join(said) or done.stderr.strip()))


def _without_tabs(text: bytes) -> bytes:
    """Return code with spaces in place of the tabs at the beginning of its lines, eight to each.

    Lines inside of a string stay as they are.
    """
    lines = text.split(b"\n")
    in_strings = _lines_in_strings(lines)
    for index, line in enumerate(lines):
        if index not in in_strings:
            rest = line.lstrip(b" \t")
            lines[index] = line[: len(line) - len(rest)].expandtabs(8) + rest
    return b"\n".join(lines)


def _lines_in_strings(lines: list[bytes]) -> set[int]:
    """Return the indices of the lines that begin inside of a string."""
    # In Latin-1 each byte is a character.
    readline = (line.decode("latin-1") + "\n" for line in lines).__next__
    found: set[int] = set()
    # Where the code is broken, fissix tells it.
    with suppress(tokenize.TokenError, IndentationError):
        for kind, _, (first, _), (last, _), _ in tokenize.generate_tokens(readline):
            if kind == token.STRING:
                found.update(range(first, last))
    return found


def show(folder: Path, found: list[Place]) -> None:
    """Print what was found: a line for each place, under what to write there."""
    kinds: dict[tuple[str, str], list[Place]] = {}
    for place in found:
        kinds.setdefault((place.advice.seen, place.advice.instead), []).append(place)
    for (seen, instead), of_kind in kinds.items():
        print(f"{seen}  ->  {instead}")
        for place in of_kind:
            print(f"    {place.file.relative_to(folder)}:{place.line}: {place.text[:100]}")
        print()
    if found:
        print(f"{len(found)} places in {len({place.file for place in found})} files to look at.")
    else:
        print("Nothing to look at was found.")
