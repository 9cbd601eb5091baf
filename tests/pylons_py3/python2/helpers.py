"""Expressions of WebHelpers that are put to Python 2.7 and to ours.

``«»`` stands for a value. Each line of ``helpers.txt`` is made once for each of VALUES, and each of
``helpers_few.txt`` for three of them.
"""

import json
from pathlib import Path

VALUES = [
    '"a <b> & c"',
    '"x"',
    '""',
    'literal("a <b>x</b> &amp; c")',
    'literal("x")',
    "None",
    '"\\u00f6\\u00e4"',
    'literal("\\u00f6 &amp; <i>\\u20ac</i>")',
    "5",
    "1.5",
    "True",
    '"line1\\nline2\\n\\nline3"',
    'literal("l1 &lt;\\nl2\\n\\n<b>l3</b>")',
    '"Go to http://www.example.com/?a=1&b=2 or me@example.com, \'q\' \\"d\\""',
    'literal("<a href=\\"/x\\">link &amp; more</a> tail")',
    'b"by"',
]


def templates(name):
    """Return the lines of a file, each with its number."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return enumerate(text.splitlines())


def expressions():
    """Return all expressions."""
    made = []
    for _, template in templates("helpers.txt"):
        made += with_values(template, range(len(VALUES)))
    for number, template in templates("helpers_few.txt"):
        made += with_values(template, (number, number + 5, number + 11))
    return made


def with_values(template, first):
    """Yield the expressions of a template: for each number of the first value, or one where it has none."""
    places = template.count("«»")
    for number in first if places else range(1):
        expression = template
        for place in range(places):
            value = VALUES[(number + 3 * place) % len(VALUES)]
            expression = expression.replace("«»", value, 1)
        yield expression


if __name__ == "__main__":
    print(json.dumps(expressions()))
