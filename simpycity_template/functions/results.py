"""What is wrong with how a declaration takes the rows of its function."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from simpycity.model import SimpleModel

from simpycity_template.functions.catalogue import PgFunction
from simpycity_template.functions.finding import Problem
from simpycity_template.functions.written import is_single, written

Model = type[SimpleModel]


def problem_of_number(query: Any, right: list[PgFunction]) -> Iterator[Problem]:
    """Whether a declaration expects one row of a function that returns a set, or the reverse."""
    function = right[0]
    if function.kind == "f" and all(one.returns_set == is_single(query) for one in right):
        how = "a set of rows" if function.returns_set else "one row"
        other = _other_form(type(query).__name__)
        yield (
            f"it returns {how}, and is declared as {type(query).__name__}",
            written(other, query.query_base, query.args, ["variadic=True"] * query.variadic),
        )


def problems_of_models(models: Iterable[Model], columns: list[str]) -> Iterator[Problem]:
    """The columns that models name, and rows have not.

    Arguments:
        models: which are filled with the rows.
        columns: the names of the rows' columns.
    """
    for model in models:
        missing = [name for name in model.table if name not in columns]
        if missing and "base_" not in columns:
            yield (
                f"the table of {model.__name__} names {', '.join(map(repr, missing))}, and the result "
                f"has the columns {', '.join(columns)}",
                f"table = [{', '.join(repr(name) for name in columns)}]",
            )


def _other_form(kind: str) -> str:
    return kind.removesuffix("Single") if kind.endswith("Single") else f"{kind}Single"


def models_by_query(queries: list[Any]) -> dict[int, set[Model]]:
    """The models that are filled with the rows of each query, by the query's ``id()``."""
    found: dict[int, set[Model]] = defaultdict(set)
    waiting: list[Model] = [SimpleModel]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        for name in ("__load__", "__lazyload__"):
            if name in vars(model):
                found[id(vars(model)[name])].add(model)
    for query in queries:
        for made in (getattr(query, "return_type", None), query.__attr__["callback"]):
            if isinstance(made, type) and issubclass(made, SimpleModel):
                found[id(query)].add(made)
    return found
