"""The body of a form, with limits: its parts are read in a time that grows with the square of their headers.

WebOb reads a form with the standard library's cgi, which joins the lines of a part's headers one by one:
a body of 1 MB held a process for a quarter of a minute. What visitors send is small: browsers write
two or three short headers for a field.
"""

from collections.abc import Iterator
from typing import Any

LONGEST_HEADERS = 8192
"""Bytes of the headers of one part."""

# Beside the boundary, a line that ends a part has no more than "--" before it, and spaces and line breaks after it.
_SLACK = 70


class FormError(ValueError):
    """A form is too much to be read; its text is for who sent it."""


class FormBody:
    """``wsgi.input`` of a form, which raises FormError where there is too much in what is read."""

    def __init__(self, body: Any, boundary: str, max_fields: int) -> None:
        """
        Arguments:
            body: ``wsgi.input`` of the server.
            boundary: between the parts of the form; empty where it has none, but pairs.
            max_fields: how many fields the form may have.
        """
        self._body = body
        self._boundary = boundary
        self._max_fields = max_fields
        self._delimiter = b"--" + boundary.encode()
        self._look = self._look_at_parts if boundary else self._look_at_pairs
        self._begin()

    def _begin(self) -> None:
        # Before the first "&" there is a field already.
        self._fields = 0 if self._boundary else 1
        self._line = b""  # the one that is not read to its end; outside of headers its beginning
        self._headers: int | None = None  # bytes of those of a part so far, while they are read

    def seek(self, place: int) -> int:
        """Go back to the beginning, as WebOb does where it has made a copy that can."""
        self._begin()
        return int(self._body.seek(place))

    def read(self, *size: int) -> bytes:
        """As PEP 3333 says; raises FormError."""
        return self._look(self._body.read(*size))

    def readline(self, *size: int) -> bytes:
        """As PEP 3333 says; raises FormError."""
        return self._look(self._body.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        """As PEP 3333 says; raises FormError."""
        return [self._look(line) for line in self._body.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._look, self._body)

    def _look_at_pairs(self, read: bytes) -> bytes:
        self._count(read.count(b"&"))
        return read

    def _look_at_parts(self, read: bytes) -> bytes:
        *ended, self._line = (self._line + read).split(b"\n")
        for line in ended:
            if self._headers is not None:
                self._look_at_header(line)
            elif line.startswith(b"--") and line.rstrip() == self._delimiter:
                self._count(1)
                self._headers = 0
        if self._headers is None:
            self._line = self._line[: len(self._delimiter) + _SLACK]
        else:
            self._check_headers(len(self._line))
        return read

    def _look_at_header(self, line: bytes) -> None:
        if not line.strip():
            self._headers = None
            return
        # Its fields would be counted by nobody; no browser writes such a form.
        if any(kind in line.lower() for kind in (b"multipart/", b"x-www-form-urlencoded")):
            raise FormError("A part of the form is a form itself.")
        self._headers = self._check_headers(len(line) + 1)

    def _check_headers(self, more: int) -> int:
        length = (self._headers or 0) + more
        if length > LONGEST_HEADERS:
            raise FormError(f"A part of the form has headers of more than {LONGEST_HEADERS} bytes.")
        return length

    def _count(self, more: int) -> None:
        self._fields += more
        if self._fields > self._max_fields:
            raise FormError(f"The form has more than {self._max_fields} fields.")
