"""Which function of the database a declaration means, and what is wrong with its arguments."""

from typing import Any

from simpycity_template.functions.catalogue import Catalogue, PgFunction
from simpycity_template.functions.written import argument_names, is_single, line_of, written


def problem_of_arguments(query: Any, function: PgFunction, catalogue: Catalogue) -> str | None:
    """What is wrong with the arguments of a declaration, if this function is meant."""
    given, names = function.given, query.args
    shown = function.signature(catalogue)
    if query.variadic and not function.is_variadic:
        return f"it is declared as variadic, and {shown} is not"
    if function.is_variadic and not query.variadic and names and names[-1] == given[-1].name:
        return f"its last argument is VARIADIC, so that a call cannot pass a list: {shown}"
    if len(names) > len(given) and not function.is_variadic:
        return f"it names {_counted(len(names))}, and the function has {len(given)}: {shown}"
    for place, name in enumerate(names[: len(given)]):
        expected = given[place].name
        is_element = function.is_variadic and not query.variadic and place == len(given) - 1
        if not expected or name == expected or is_element:
            continue
        known = [one.name for one in given]
        if name not in known:
            return f"there is no argument {name!r} in {shown}"
        return f"the arguments are in another order than in {shown}"
    for parameter in given[len(names) :]:
        if not parameter.has_default and parameter.mode != "v":
            called = repr(parameter.name) if parameter.name else f"number {len(names) + 1}"
            return f"the argument {called} has no default, and is never given: {shown}"
    return None


def matching(query: Any, catalogue: Catalogue) -> list[PgFunction]:
    """The functions of the database that a declaration of a function is right for."""
    kind = "p" if query.procedure else "f"
    return [
        one
        for one in catalogue.meant(query.query_base)
        if one.kind == kind and problem_of_arguments(query, one, catalogue) is None
    ]


def _counted(number: int) -> str:
    return f"{number} argument{'s' * (number != 1)}"


def distance(query: Any, function: PgFunction) -> int:
    """How far the arguments of a declaration are from those of a function."""
    names = {one.name for one in function.given}
    return len(names.symmetric_difference(query.args)) * 100 + abs(len(names) - len(query.args))


def corrected(query: Any, function: PgFunction, catalogue: Catalogue) -> str:
    """The declaration as it should be: of the same class, where that can be."""
    line = line_of(function, catalogue)
    kind, single = type(query).__name__, is_single(query)
    if single == (not function.returns_set) and function.kind == "f":
        line = kind + line[line.index("(") :]
    # Trailing arguments that have defaults need not be named.
    names = argument_names(function)
    kept = names[: len(query.args)]
    rest = function.given[len(query.args) :]
    if kept == query.args and all(one.has_default for one in rest) and not function.is_variadic:
        options = line[line.index(")") + 1 :]
        line = (
            written(line[: line.index("(")], catalogue.written_name(function), kept, []) + options
        )
    return line
