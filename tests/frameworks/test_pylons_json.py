"""What @jsonify of Pylons makes of rows and models."""

import json
from decimal import Decimal

import pytest
import simplejson
from pylons import decorators
from simpycity.core import Raw
from simpycity.model import SimpleModel

from simpycity_template.frameworks.pylons_json import encode_rows

ID = "907dac34-2572-45a0-943c-7c370f1f4273"


class Place(SimpleModel):
    table = ["city", "height"]


@pytest.fixture(autouse=True)
def stock(monkeypatch):
    monkeypatch.setattr(decorators.JSONEncoder, "iterencode", None, raising=False)


def encoded(value):
    # As jsonify does it.
    return json.loads(simplejson.dumps(value, cls=decorators.JSONEncoder, encoding="utf-8"))


def test_rows_models_and_their_values_are_objects_with_texts(manager):
    manager.handle().execute("CREATE TYPE place AS (city text, height numeric)")
    row = Raw(
        "SELECT 1 AS id, %s::uuid AS uid, '2026-01-02'::date AS day, '10.0.0.1'::inet AS host,"
        " '2026-01-02 12:00Z'::timestamptz AT TIME ZONE 'UTC' AS at, 1.50 AS price,"
        " row('Ulm', 478)::place AS place, ARRAY[1.5] AS more, NULL AS nothing",
        ["uid"],
    )(ID).fetchone()
    encode_rows()
    expected = {
        "id": 1, "uid": ID, "day": "2026-01-02", "host": "10.0.0.1", "at": "2026-01-02T12:00:00",
        "price": "1.50", "place": {"city": "Ulm", "height": "478"}, "more": ["1.5"], "nothing": None,
    }  # fmt: skip
    assert encoded({"rows": [row], "model": Place(city="Ulm", height=Decimal(478))}) == {
        "rows": [expected],
        "model": {"city": "Ulm", "height": "478"},
    }


def test_the_application_chooses_what_a_decimal_becomes(manager):
    encode_rows(decimal=str)
    encode_rows(decimal=float)
    assert encoded({"price": Decimal("1.50")}) == {"price": 1.5}


def test_what_has_a_form_of_its_own_keeps_it(manager):
    class Own:
        def __json__(self):
            return {"own": True}

    encode_rows()
    assert encoded([Own()]) == [{"own": True}]
    with pytest.raises(TypeError):
        encoded([object()])
