"""The debugger's page, in which nothing runs but the debugger's own script.

The page holds the secret that the console asks for, and what a visitor sent is part of many an
error's text. So all text is escaped, and the browser is told to run nothing else.
"""

import re
import secrets
from collections.abc import Iterable
from copy import copy
from html import escape
from pathlib import Path

from backlash.tbtools import Traceback

# Beside these two, for whatever a browser loads: the page, its parts, and the console's answers.
COMMON_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

# The styles of the old jQuery's tests stand in attributes.
PAGE = (
    f"{NOTHING}; script-src 'nonce-{{}}'; connect-src 'self'; font-src 'self'; img-src 'self'; "
    "style-src 'self' 'nonce-{}'; style-src-attr 'unsafe-inline'"
)

Headers = list[tuple[str, str]]


HEAD = """<meta name="viewport" content="width=device-width, initial-scale=1">
<style nonce="{}">{}</style>
</head>"""

STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")

# What PostgreSQL quotes of a statement, with a ^ under the place of the error, and the end of that
# line: a block ends its last line by itself.
EXCERPT = re.compile(r"(?m)^LINE \d+: .*\n *\^\n?")

# The class of the exception. On a telephone its name is broken behind a dot.
HEADING = re.compile(r"<h1>[\w.]+</h1>")


class _Escaped(Traceback):
    """A traceback whose plain text can stand in a page; backlash escapes all else."""

    @property
    def plaintext(self) -> str:
        return escape(super().plaintext)


def render(
    traceback: Traceback, secret: str, more: Iterable[str], notice: str = ""
) -> tuple[str, Headers]:
    """Return the page of a traceback, as HTML, and its headers.

    Arguments:
        traceback: what is shown.
        secret: what the console's requests have to name.
        more: HTML that stands above the plain text.
        notice: text that stands above all.
    """
    shown = copy(traceback)
    shown.__class__ = _Escaped
    for frame in shown.frames:
        # What an application says of a frame stands in an attribute, where backlash leaves quotes.
        frame.info = frame.info and str(frame.info).replace('"', "'")
    page = shown.render_full(evalex=True, secret=secret)
    nonce = secrets.token_urlsafe(16)
    head, body, rest = page.partition("<body>")
    head = head.replace("<script ", f'<script nonce="{nonce}" ')
    head = head.replace("</head>", HEAD.format(nonce, STYLE))
    said = f'<p role="alert"><strong>{escape(notice)}</strong></p>' if notice else ""
    shown_twice, plain, rest = rest.partition('<div class="plain">')
    # It is escaped already.
    shown_twice = EXCERPT.sub(r'<span class="excerpt">\g<0></span>', shown_twice)
    shown_twice = HEADING.sub(lambda found: found[0].replace(".", ".<wbr>"), shown_twice)
    page = "".join([head, body, said, shown_twice, *more, plain, rest])
    return page, headers(PAGE.format(nonce, nonce))


def headers(policy: str = NOTHING) -> Headers:
    """Return the headers of an answer of the debugger, but for its type."""
    return [("Content-Security-Policy", policy), *COMMON_HEADERS]
