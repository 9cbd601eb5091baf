"""Writes stubs (``.pyi``) beside the modules of a model: what calls take and what rows have.

A stub stands for its whole module, so it has the module's other names as well: functions and
classes with their annotations, everything else by the type that it has now.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from psycopg2.extensions import connection as psycopg2_connection
from simpycity.core import FunctionTyped, QueryTyped
from simpycity.model import SimpleModel

from simpycity_template.functions.arguments import matching
from simpycity_template.functions.catalogue import Catalogue, PgFunction
from simpycity_template.functions.describe import Described, described
from simpycity_template.functions.names import parts
from simpycity_template.functions.prepare import LIST
from simpycity_template.functions.python_types import (
    IMPORTS,
    PythonTypes,
    class_name,
    is_identifier,
)
from simpycity_template.functions.written import is_function, is_single
from simpycity_template.simpycity_patches.rows import is_model

MARK = "# Written by `paster functions --stubs`; a change in this file is lost."

# Of their own class, and in simpycity's stubs.
_OF_SIMPLE_MODEL = {"table", "pg_type", "config"}
_ANY = ast.Name("_Any")

Column = tuple[str, str]
"""A name, and the type as a stub has it."""


def stub(module: ModuleType, link: psycopg2_connection, catalogue: Catalogue) -> str:
    """The text of a module's stub.

    Arguments:
        module: imported from a file.
        link: a connection to the database, for the tables of ``Query``.
        catalogue: of the database, with the functions that the module declares.
    """
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    return _Stub(module, link, catalogue).text(ast.parse(source))


class _Stub:
    def __init__(self, module: ModuleType, link: psycopg2_connection, catalogue: Catalogue) -> None:
        self._module, self._link, self._catalogue = module, link, catalogue
        self._types = PythonTypes(catalogue.types)
        # By their columns, so that two functions that return the same have the same rows.
        self._rows: dict[tuple[Column, ...], str] = {}
        self._calls: list[str] = []

    def text(self, tree: ast.Module) -> str:
        body = list(self._body(tree.body, vars(self._module), None))
        composites = [
            f"class {name}(_Composite):\n" + ("\n".join(fields) or "    ...")
            for name, fields in self._types.composites.items()
        ]
        rows = [_row_class(name, columns) for columns, name in self._rows.items()]
        return "\n".join([MARK, "", *IMPORTS, "", *composites, *rows, *self._calls, *body]) + "\n"

    def _body(
        self, nodes: list[ast.stmt], values: Any, model: type[SimpleModel] | None
    ) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from _import(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.unparse(_without_body(node))
            elif isinstance(node, ast.ClassDef):
                yield self._class(node, values.get(node.name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield f"{node.target.id}: {ast.unparse(node.annotation)}"
            elif not isinstance(node, ast.Expr):
                for name in _assigned(node):
                    if name in values and not (model and name in _OF_SIMPLE_MODEL):
                        yield self._value(name, values[name], model)

    def _class(self, node: ast.ClassDef, value: Any) -> str:
        is_model = isinstance(value, type) and issubclass(value, SimpleModel)
        model = value if is_model else None
        lines = list(self._columns(model)) if model else []
        lines += self._body(node.body, vars(value) if isinstance(value, type) else {}, model)
        inner_of = [ast.unparse(one) for one in (*node.bases, *node.keywords)]
        bases = f"({', '.join(inner_of)})" if inner_of else ""
        decorators = "".join(f"@{ast.unparse(one)}\n" for one in node.decorator_list)
        inner = "\n".join(lines) or "..."
        indented = "\n".join(f"    {line}" for line in inner.splitlines())
        return f"{decorators}class {node.name}{bases}:\n{indented}"

    def _columns(self, model: type[SimpleModel]) -> Iterator[str]:
        known: dict[str, str] = {}
        for name in ("__lazyload__", "__load__"):
            query = getattr(model, name, None)
            if query is not None and (columns := self._columns_of(query)):
                known |= dict(columns)
        inherited = {name for base in model.__mro__[1:] for name in getattr(base, "table", ())}
        for name in model.table:
            if is_identifier(name) and name not in inherited:
                yield f"{name}: {known.get(name, '_Any')}"

    def _value(self, name: str, value: Any, model: type[SimpleModel] | None) -> str:
        if hasattr(value, "declared_at"):
            return f"{name}: {self._query(name, value, model)}"
        kind = type(value)
        if kind in (str, int, float, bool, bytes):
            return f"{name}: {kind.__name__}"
        if kind in (list, set, frozenset):
            return f"{name}: {kind.__name__}[_Any]"
        return f"{name}: {'dict[_Any, _Any]' if kind is dict else '_Any'}"

    def _query(self, name: str, query: Any, model: type[SimpleModel] | None) -> str:
        """The type of a query object; for one that is known, a class with its call."""
        kind = f"_core.{type(query).__name__}"
        if not type(query).__module__.startswith("simpycity"):
            return "_Any"
        parameters, result = self._parameters(query, model), self._result(name, query)
        if parameters is None or result is None:
            return kind
        if model is not None and query.is_property:
            return result
        call = f"_Call_{model.__name__}_{name}" if model else f"_Call_{name}"
        options = "options: dict[str, _Any] | None = ..."
        marked = (
            [*parameters, options] if "*" in " ".join(parameters) else [*parameters, "*", options]
        )
        self._calls.append(
            f"class {call}({kind}):\n"
            f"    def __call__({', '.join(['self', *marked])}) -> {result}: ..."
        )
        return call

    def _parameters(self, query: Any, model: type[SimpleModel] | None) -> list[str] | None:
        if is_function(query):
            functions = matching(query, self._catalogue)
            if len(functions) != 1:
                return None
            given = functions[0].given
            types = [self._types.given(one.type) for one in given]
            defaults = [one.has_default for one in given]
        else:
            found = self._described(query)
            if found is None or len(found.parameters) != len(query.args):
                return None
            types = [self._types.given(oid) for oid in found.parameters]
            if LIST.search(query.form_query("*")):
                # psycopg2 writes a tuple there.
                types = ["_Any"] * len(types)
            defaults = [False] * len(types)
        if len(types) < len(query.args):
            # More values for a VARIADIC parameter.
            types += types[-1:] * (len(query.args) - len(types))
            defaults += [True] * (len(query.args) - len(defaults))
        written = []
        for place, name in enumerate(query.args):
            usable = is_identifier(name) and name not in ("self", "options")
            shown = name if usable else f"arg{place + 1}"
            if query.variadic and place == len(query.args) - 1:
                element = types[place].removeprefix("_Sequence[").removesuffix("] | None")
                written.append(f"*{shown}: {element}")
            else:
                known = model is not None and name in model.table
                default = " = ..." if defaults[place] or known else ""
                written.append(f"{shown}: {types[place]}{default}")
        # A method of a model takes its arguments by name.
        if model is not None and written and not query.variadic:
            written.insert(0, "*")
        return _defaults_last(written)

    def _result(self, name: str, query: Any) -> str | None:
        columns = self._columns_of(query)
        if not columns:
            return None
        if isinstance(query, FunctionTyped | QueryTyped):
            row = self._value_of(query)
            return row if is_single(query) else f"_TypedCursor[{row}]"
        if callback := query.__attr__["callback"]:
            row = self._made_by(callback)
        else:
            row = self._row(self._name_of_rows(query) or name, tuple(columns))
        return row if is_single(query) else f"_Cursor[{row}]"

    def _made_by(self, callback: Any) -> str:
        """The type of what a callback returns, where it is a model that the module knows."""
        name = getattr(callback, "__name__", "")
        known = getattr(self._module, name, None) is callback
        return name if known and is_model(callback) else "_Any"

    def _name_of_rows(self, query: Any) -> str | None:
        """The table or composite type whose rows a query returns, if it is one."""
        if not is_function(query):
            found = parts(query.query_base)
            return found[-1] if found else None
        (function, *_) = matching(query, self._catalogue)
        known = self._catalogue.types.get(function.return_type)
        is_row = known is not None and known.kind == "c" and not function.returned
        return known.name if known is not None and is_row else None

    def _value_of(self, query: Any) -> str:
        """The one value of each row, which may be a model that nobody but the application knows."""
        if not is_function(query):
            return "_Any"
        (function, *_) = matching(query, self._catalogue)
        known = self._catalogue.types.get(function.return_type)
        return (
            "_Any" if known is None or known.kind == "c" else self._types.read(function.return_type)
        )

    def _columns_of(self, query: Any) -> list[Column] | None:
        if not is_function(query):
            found = self._described(query)
            return found and [
                (name, self._types.read(oid, not_null)) for name, oid, not_null in found.columns
            ]
        functions = matching(query, self._catalogue)
        if len(functions) != 1:
            return None
        return self._columns_of_function(functions[0], getattr(query, "direct", False))

    def _columns_of_function(self, function: PgFunction, direct: bool) -> list[Column] | None:
        columns = self._catalogue.columns(function)
        if columns is None:
            return None
        composite = self._catalogue.types.get(function.return_type)
        if direct and (function.returned or (composite and composite.kind == "c")):
            return [(function.name, "_Any")]
        required = composite.not_null if composite and not function.returned else frozenset()
        return [(name, self._types.read(oid, name in required)) for name, oid in columns]

    def _described(self, query: Any) -> Described | None:
        """What a ``Query`` or ``Raw`` takes and returns, its types known."""
        found = described(self._link, query)
        if found is None:
            return None
        names = [name for name, *_ in found.columns]
        if len(set(names)) < len(names):
            return None
        with self._link.cursor() as cursor:
            oids = [*found.parameters, *(oid for _, oid, _ in found.columns)]
            self._catalogue.types.learn(cursor, oids)
        return found

    def _row(self, name: str, columns: tuple[Column, ...]) -> str:
        if columns not in self._rows:
            row = f"{class_name(name)}Row"
            while row in self._rows.values() or hasattr(self._module, row):
                row = f"_{row}"
            self._rows[columns] = row
        return self._rows[columns]


def _row_class(name: str, columns: tuple[Column, ...]) -> str:
    names = ", ".join(repr(column) for column, _ in columns)
    every = " | ".join(dict.fromkeys(kind for _, kind in columns))
    ways = [f"{column!r}, {place}" for place, (column, _) in enumerate(columns)]
    kinds = [kind for _, kind in columns]
    if len(columns) > 1:
        ways.append(names)
        kinds.append(every)
    lines = [f"class {name}(_TypedRow):"]
    for number, (keys, kind) in enumerate(zip(ways, kinds, strict=True)):
        ignore = "  # type: ignore[override]" if not number else ""
        if len(ways) > 1:
            lines.append(f"    @_overload{ignore}")
            ignore = ""
        lines.append(f"    def __getitem__(self, key: _Literal[{keys}]) -> {kind}: ...{ignore}")
    lines.append(f"    def keys(self) -> list[_Literal[{names}]]: ...")
    return "\n".join(lines)


def _defaults_last(written: list[str]) -> list[str]:
    """Parameters as Python takes them: after one with a default, those without are by name."""
    seen = False
    for place, one in enumerate(written):
        if one.startswith("*"):
            return written
        if seen and not one.endswith("= ..."):
            return [*written[:place], "*", *written[place:]]
        seen = seen or one.endswith("= ...")
    return written


def _import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return
    # A stub hides what it imports, unless it is imported as itself.
    for alias in node.names:
        if not alias.asname and alias.name != "*" and "." not in alias.name:
            alias.asname = alias.name
    yield ast.unparse(node)


def _without_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    arguments = node.args
    everything = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    for one in [*everything, arguments.vararg, arguments.kwarg]:
        if one is not None and one.annotation is None and one.arg not in ("self", "cls"):
            one.annotation = _ANY
    arguments.defaults = [ast.Constant(...) for _ in arguments.defaults]
    arguments.kw_defaults = [one and ast.Constant(...) for one in arguments.kw_defaults]
    node.returns = node.returns or _ANY
    node.body = [ast.Expr(ast.Constant(...))]
    return node


def _assigned(node: ast.stmt) -> list[str]:
    names = [
        found.id
        for found in ast.walk(node)
        if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Store)
    ]
    for found in ast.walk(node):
        if isinstance(found, ast.alias):
            names.append((found.asname or found.name).partition(".")[0])
        if found is not node and isinstance(found, ast.FunctionDef | ast.ClassDef):
            names.append(found.name)
    return list(dict.fromkeys(names))
