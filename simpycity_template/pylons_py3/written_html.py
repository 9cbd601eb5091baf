"""Texts in HTML where escaping them is not enough."""

from struct import iter_unpack


def in_comment(value):
    """Return a value as it may stand in a comment, which a ">" could end; a literal stays as it is."""
    text = str(value)
    return text if hasattr(value, "__html__") else text.replace(">", "&gt;")


def in_script(html):
    """Return HTML as it may stand between the quotes of a string in a script."""
    text = str(html).replace("\\", "\\\\").replace("'", "\\'")
    return text.replace("\r", "\\r").replace("\n", "\\n")


def for_unescape(text):
    """Return a text as JavaScript's unescape() reads it: characters of two digits or, with a u, of four."""
    units = iter_unpack(">H", text.encode("utf-16-be", "surrogatepass"))
    return "".join(f"%{unit:02x}" if unit < 256 else f"%u{unit:04x}" for (unit,) in units)
