"""WebOb's responses, as applications of Python 2 use them: a str without a charset was bytes."""

import html
import re
from functools import wraps
from string import Template
from urllib.parse import quote

from simpycity_template.pylons_py3.wsgi_text import to_text

_taking: set[type] = set()


def taking_text(kind):
    """Let a class of responses take text where there is no charset: it is UTF-8.

    Arguments:
        kind: WebOb's class; what it took before it takes as before.

    Returns:
        The same class.
    """
    if kind in _taking:
        return kind
    _taking.add(kind)
    make, write, body = kind.__init__, kind.write, kind.body

    def to_bytes(response, value):
        return value.encode(response.charset or "utf-8") if isinstance(value, str) else value

    @wraps(make)
    def __init__(self, body=None, *args, **options):
        text = body if isinstance(body, str) else None
        make(self, None if text is not None else body, *args, **options)
        if text is not None:
            self.body = text

    @wraps(write)
    def take(self, text):
        write(self, to_bytes(self, text))

    kind.__init__ = __init__
    kind.write = take
    kind.body = property(
        body.fget, lambda self, value: body.fset(self, to_bytes(self, value)), body.fdel
    )
    return kind


def redirection(kind, url):
    """Make a redirect whose page shows its address as it reads.

    Arguments:
        kind: the class of the answer.
        url: the address, as text.
    """
    # A header is text of WSGI.
    answer = kind(location=url.encode("utf-8").decode("latin-1"))
    answer.body_template_obj = _Readable(answer.body_template_obj.template)
    return answer


class _Readable(Template):
    """The text of a redirect's page."""

    def safe_substitute(self, values, /, **more):  # type: ignore[override]
        """Fill in the values; the address is what the header means."""
        location = str(values["location"])
        plain = html.unescape(location)
        readable = re.sub("[<>\"']", lambda found: quote(found[0]), to_text(plain))
        values["location"] = readable if plain == location else html.escape(readable)
        return super().safe_substitute(values, **more)
