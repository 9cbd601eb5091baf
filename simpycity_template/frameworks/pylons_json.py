"""Rows and models as JSON, for ``@jsonify`` of Pylons."""

import ipaddress
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import simplejson
from psycopg2.extras import DictRow
from pylons import decorators
from simpycity.model import SimpleModel

from simpycity_template.simpycity_patches.composite import Composite
from simpycity_template.simpycity_patches.to_sql import columns_of


def encode_rows(decimal: Callable[[Decimal], Any] = str) -> None:
    """Let ``@jsonify`` take rows, models and their values; call it once, at the start.

    A row is an object with its columns, as a ``SimpleModel`` and a composite value are; dates and
    times are texts as ISO 8601 has them, a UUID and an address are texts, an enum is its value.

    Arguments:
        decimal: what becomes of a ``Decimal``: ``str`` keeps its digits, ``float`` makes a number.
    """

    def iterencode(self: Any, o: Any) -> Iterator[str]:
        encoded: Iterator[str] = simplejson.JSONEncoder.iterencode(self, _plain(o, decimal))
        return encoded

    # In place: Pylons' own methods look the class up by its name.
    decorators.JSONEncoder.iterencode = iterencode


def _plain(value: Any, decimal: Callable[[Decimal], Any]) -> Any:
    if isinstance(value, SimpleModel):
        value = columns_of(value)
    elif isinstance(value, DictRow):
        value = dict(value)
    elif isinstance(value, Composite):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(one, decimal) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, decimal) for one in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return decimal(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID | ipaddress._IPAddressBase):
        return str(value)
    return value
