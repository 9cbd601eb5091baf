"""An entry of a log stays one entry, whatever a visitor's text has in it."""


def one_entry(text: str) -> str:
    """Return the text of an entry as it can be written into a log.

    Arguments:
        text: the entry, of one line or several; an error's text may be a visitor's.

    Returns:
        The text with its further lines indented, so that none looks like another entry, and with what a
        terminal would obey, such as ESC, as Python writes it: ``\\x1b``.
    """
    return "\n  ".join(map(_shown, text.split("\n")))


def _shown(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(
        character if character.isprintable() or character == "\t" else ascii(character)[1:-1]
        for character in line
    )
