"""Declarations as lines of Python."""

import json
from typing import Any

from simpycity.core import Function, FunctionSingle, QuerySingle

from simpycity_template.functions.catalogue import Catalogue, PgFunction


def line_of(function: PgFunction, catalogue: Catalogue) -> str:
    """The declaration of a function of the database: ``FunctionSingle("note_add", ["title"])``."""
    options = []
    if function.is_variadic:
        options.append("variadic=True")
    if function.kind == "p":
        options.append("procedure=True")
    kind = "Function" if function.returns_set else "FunctionSingle"
    if function.kind == "p" and not function.returned:
        kind = "Function"
    return written(kind, catalogue.written_name(function), argument_names(function), options)


def argument_names(function: PgFunction) -> list[str]:
    """The arguments that a declaration names; ``arg1`` where a parameter has no name."""
    names: list[str] = []
    for place, parameter in enumerate(function.given, 1):
        name = parameter.name or f"arg{place}"
        while name in names:
            name += "_"
        names.append(name)
    return names


def declaration_of(query: Any) -> str:
    """How a query object was declared, as far as a check is concerned."""
    options = []
    if getattr(query, "direct", False) and not type(query).__name__.startswith(
        ("FunctionTyped", "QueryTyped", "Property")
    ):
        options.append("direct=True")
    if query.variadic:
        options.append("variadic=True")
    if getattr(query, "procedure", False):
        options.append("procedure=True")
    return written(type(query).__name__, query.query_base, query.args, options)


def written(kind: str, name: str, arguments: list[str], options: list[str]) -> str:
    """A declaration as Python writes it."""
    parts = [text(name)]
    if arguments:
        parts.append(f"[{', '.join(map(text, arguments))}]")
    return f"{kind}({', '.join([*parts, *options])})"


def text(value: str) -> str:
    """A text as Python writes it, in the double quotes of our style where that is as short."""
    if '"' in value and "'" not in value:
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def is_function(query: Any) -> bool:
    """Whether a query object is of a function, and not of a table or a text."""
    return isinstance(query, Function)


def is_single(query: Any) -> bool:
    """Whether its call returns one row, and not a cursor."""
    return isinstance(query, FunctionSingle | QuerySingle)
