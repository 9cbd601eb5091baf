"""Corrects Simpycity's models: what an object costs, and which arguments its methods send.

Simpycity puts debug text together at each attribute that is read, whether it is printed or not.
"""

from functools import partial
from typing import Any

import psycopg2
from psycopg2.extras import CompositeCaster, DictRow
from simpycity import NotFoundError
from simpycity import config as simpycity_config
from simpycity.core import FunctionError, meta_query
from simpycity.model import Construct, SimpleModel

from simpycity_template.simpycity_patches.arguments import called
from simpycity_template.simpycity_patches.corrects import corrects

NO_DATA_FOUND = "P0002"

_MISSING = object()
_attribute: Any = object.__getattribute__
_register_composite: Any = vars(SimpleModel)["register_composite"].__func__


@corrects(Construct)
class Unit:
    """Queries that share a handle."""

    def __init__(
        self: Any, config: Any = None, handle: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Remember whose handle to use.

        Arguments:
            config: of the database, unless the class has one; by default Simpycity's own.
            handle: to use; by default one of the config's, at the first use.
        """
        if not self.config:
            self.config = config or simpycity_config
        self.init_handle = handle


@corrects(SimpleModel)
class Model:
    """An object with the columns of a row, and queries as its methods."""

    # Simpycity's has none of these: to look in vain costs more than all the rest.
    __load__ = __lazyload__ = loaded_indicator = None

    def __init__(
        self: Any, *args: Any, config: Any = None, handle: Any = None, **columns: Any
    ) -> None:
        """Make one of its columns, or load it by its key.

        Arguments:
            args, columns: the columns' values. Where the class has a ``__load__``, and they do not
                include its ``loaded_indicator``, they are the arguments of ``__load__``.
            config, handle: as in ``Construct``.

        Raises:
            simpycity.NotFoundError: there is no such row.
        """
        if "base_" in columns:
            SimpleModel.merge_base_attrs(columns)
        attributes, value_of = _attribute(self, "__dict__"), columns.get
        for name in _attribute(self, "table"):
            attributes[name] = value_of(name)
        construct: Any = super(SimpleModel, self)
        construct.__init__(config, handle, *args, **columns)
        indicator = _attribute(self, "loaded_indicator")
        loaded = indicator is not None and attributes.get(indicator) is not None
        attributes["_loaded"] = loaded
        if _attribute(self, "__load__") and (args or columns) and not loaded:
            self.__load_by_key__(*args, **columns)

    def __load_by_key__(self: Any, *args: Any, **named: Any) -> None:
        """Fill the columns from the row that ``__load__`` returns for these arguments."""
        named["options"] = {**(named.get("options") or {}), "handle": self.handle}
        try:
            row = self.__load__(*args, **named)
        except psycopg2.InternalError as error:
            if error.pgcode != NO_DATA_FOUND:
                raise
            row = None
        if row is None:
            raise NotFoundError()
        loaded = _columns_of(self, row, "__load__")
        attributes = _attribute(self, "__dict__")
        for name in self.table:
            attributes[name] = loaded[name]
        self._loaded = True

    def __getattribute__(self: Any, name: str) -> Any:
        """The attribute; a query becomes a method, and a column that is not loaded is loaded."""
        value = _attribute(self, name)
        if value is None:
            if (
                name in _attribute(self, "table")
                and not _attribute(self, "_loaded")
                and _attribute(self, "__lazyload__")
            ):
                return _load(self)[name]
        elif isinstance(value, meta_query) and name != "__load__":
            method = partial(_call, self, value)
            return method() if value.is_property else method
        return value

    @classmethod
    def register_composite(
        cls: Any, name: str, handle: Any = None, factory: type[CompositeCaster] | None = None
    ) -> CompositeCaster:
        """Make objects of this class of all values of a composite type.

        Arguments:
            name: of the type.
            handle: whose database has it; by default one of Simpycity's handle factory.
            factory: makes the objects, where it is not the constructor of this class.
        """

        class Caster(CompositeCaster):
            def make(self, values: Any) -> Any:
                return cls(**dict(zip(self.attnames, values, strict=True)))

        caster: CompositeCaster = _register_composite(cls, name, handle, factory or Caster)
        return caster


def _load(model: Any) -> dict[str, Any]:
    """Fill a model from the row that its ``__lazyload__`` returns; returns its attributes."""
    # First, so that what it reads of the model loads nothing.
    model._loaded = True
    row = model.__lazyload__(options={"handle": model.handle})
    if not row:
        raise NotFoundError(f"__lazyload__ returned: {row}")
    attributes: dict[str, Any] = _attribute(model, "__dict__")
    attributes.update(_columns_of(model, row, "__lazyload__"))
    return attributes


def _columns_of(model: Any, row: Any, method: str) -> dict[str, Any]:
    """The columns of what a method of a model has returned."""
    if isinstance(row, DictRow):
        columns = dict(row)
    elif isinstance(row, SimpleModel):
        columns = {name: row.__dict__[name] for name in model.table}
    else:
        raise Exception(
            f"{method} of {type(model).__name__} returned a {type(row).__name__}, "
            "where a row or a model is expected"
        )
    SimpleModel.merge_base_attrs(columns)
    return columns


class _ArgumentByPlace(FunctionError, TypeError):
    """Simpycity's error, which by itself is no ``Exception``: what handles errors would not catch it."""


def _call(model: Any, query: Any, /, *args: Any, **given: Any) -> Any:
    """Call a query as a method of a model, whose attributes are the arguments that are not given.

    What the model has not, either, is not sent, so its default applies.
    """
    if args:
        raise _ArgumentByPlace(f"{called(query)} of a model takes its arguments by name only")
    if simpycity_config.debug:
        print(f"{called(query)} of {type(model).__name__} is called with {given!r}")
    for name in query.args:
        if name not in given and (value := getattr(model, name, _MISSING)) is not _MISSING:
            given[name] = value
    options = {**(given.get("options") or {}), "model": model, "handle": model.handle}
    return query(**{**given, "options": options})
