"""`webhelpers.textile`, by the textile package.

That is asked for where a text is turned into HTML: applications import this with all helpers.
"""


class Textiler:
    """Text in the Textile language."""

    def __init__(self, text=""):
        self._text = text

    def process(self, sanitize=False):
        """Return the text as HTML, without the author's own tags if it is sanitised."""
        try:
            from textile import textile, textile_restricted
        except ImportError:
            raise ImportError("Textile needs a package: pip install textile") from None
        if sanitize:
            return textile_restricted(self._text, lite=False, noimage=False)
        return textile(self._text)


def textile(text, sanitize=False):
    """Return text as HTML, without the author's own tags if it is sanitised."""
    return Textiler(text).process(sanitize)
