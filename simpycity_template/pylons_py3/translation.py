"""Turns the Python 2 source of a module into code for Python 3, each line in its place.

The corrections of the module come first; they are written against the installed text. Then
fissix, the kept fork of 2to3, translates what is left of Python 2.
"""

import ast
import logging
from functools import lru_cache
from importlib.util import decode_source
from types import CodeType

from fissix.refactor import RefactoringTool, get_fixers_from_package

from simpycity_template.pylons_py3 import corrections

# Those that only change the style of the source, or depend on what the module cannot know.
UNUSED = {"buffer", "idioms", "set_literal", "ws_comma"}


def compile_module(data: bytes, path: str, name: str) -> CodeType:
    """Translate and compile a module.

    Args:
        data: the installed source.
        path: where it is installed; the code leads there.
        name: the module's full name.

    Raises:
        ImportError: where a correction does not fit the installed source.
    """
    installed = decode_source(data)
    tree = ast.parse(translate(installed, name), path)
    _forget_columns_of_changed_lines(tree, installed, translate(installed, name))
    return compile(tree, path, "exec", dont_inherit=True)


@lru_cache(maxsize=1)
def translate(source: str, name: str) -> str:
    """Return the source of a module as Python 3, line by line."""
    translated = corrections.correct(source, name)
    if corrections.is_translated(name):
        translated = to_python3(translated, name)
    if translated.count("\n") != source.count("\n"):
        raise ImportError(f"The translation of {name} moved its lines.", name=name)
    return translated


def to_python3(source: str, name: str) -> str:
    """Return Python 2 source as Python 3, without any corrections."""
    # The line break is for sources that lack one at their end.
    return str(_tool().refactor_string(source + "\n", name))[:-1]


@lru_cache
def _tool() -> RefactoringTool:
    logging.getLogger("fissix").setLevel(logging.WARNING)
    fixers = get_fixers_from_package("fissix.fixes")
    return RefactoringTool([f for f in fixers if f.rpartition("fix_")[2] not in UNUSED])


def _forget_columns_of_changed_lines(tree: ast.AST, installed: str, translated: str) -> None:
    """Keep tracebacks from underlining the wrong part of an installed line."""
    pairs = zip(installed.split("\n"), translated.split("\n"), strict=True)
    changed = {number for number, (old, new) in enumerate(pairs, 1) if old != new}
    for node in ast.walk(tree):
        if isinstance(node, (ast.expr, ast.stmt)):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if not changed.isdisjoint(lines):
                node.col_offset = node.end_col_offset = -1
