"""Text of WSGI, of which each character stands for a byte (PEP 3333)."""

import os


def to_text(value):
    """Return text of WSGI as what it means: UTF-8, with U+FFFD for bytes that are none.

    What is no text of WSGI is returned as it is.
    """
    try:
        return value.encode("latin-1").decode("utf-8", "replace")
    except (AttributeError, UnicodeEncodeError):
        return value


def to_file_name(value):
    """Return a path of WSGI as the name of a file, whatever its bytes are."""
    try:
        return os.fsdecode(value.encode("latin-1"))
    except UnicodeEncodeError:
        # Some server has decoded it.
        return value


def all_to_text(values):
    """Return a dictionary whose values are text."""
    return {name: to_text(value) for name, value in values.items()}
