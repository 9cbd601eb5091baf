"""Evaluates expressions of WebHelpers, on Python 2 and 3: reads a JSON list, and writes one of answers.

An answer is JSON: a literal is ``{"literal": text}``, an exception ``{"error": name}``. What
the two Pythons write in different ways (``u''``, ``1L``, the order of a dictionary) is the same in it.
"""

from __future__ import unicode_literals

import datetime
import json
import sys
import warnings

warnings.simplefilter("ignore")
PYTHON_2 = sys.version_info[0] == 2
TEXT = type("")  # noqa: UP003

IMPORTS = """
import datetime, re
from webhelpers.html import *
from webhelpers.html.builder import *
from webhelpers.html.builder import format_attrs, make_tag
from webhelpers.html import converters, grid, tags, tools
from webhelpers import constants, containers, date, feedgenerator, mimehelper, misc, number
from webhelpers import paginate, util
from webhelpers import text as wtext
from webhelpers.pylonslib import flash
unicode_text = type(u"")
def text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value
"""


def answer(value):
    """Return a value as JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, TEXT):
        plain = value.encode("utf-8").decode("utf-8")
        return {"literal": plain} if hasattr(value, "__html__") else plain
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, float):
        return {"float": repr(round(value, 9))}
    if isinstance(value, dict):
        items = [[json.dumps(answer(key), sort_keys=True), answer(value[key])] for key in value]
        return {"dict": sorted(items)}
    if isinstance(value, (list, tuple)):
        return [answer(one) for one in value]
    if hasattr(value, "__html__"):
        return {"html": answer(value.__html__())}
    if hasattr(value, "next") or hasattr(value, "__next__"):
        return {"iterator": [answer(one) for one in value]}
    if isinstance(value, datetime.date):
        return value.isoformat()
    try:
        return int(value)
    except (TypeError, ValueError):
        return {"object": type(value).__name__}


def evaluate(expression, names):
    """Return the answer to an expression."""
    try:
        code = compile(expression, "<expression>", "eval", unicode_literals.compiler_flag, True)
        return answer(eval(code, dict(names)))
    except Exception as error:
        return {"error": type(error).__name__}


def answers(expressions):
    """Return the answers to expressions."""
    names = {}
    exec(IMPORTS, names)
    return [evaluate(expression, names) for expression in expressions]


if __name__ == "__main__":
    read = sys.stdin.read()
    json.dump(answers(json.loads(read.decode("utf-8") if PYTHON_2 else read)), sys.stdout)
