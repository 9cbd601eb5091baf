"""Translators with the names that gettext had on Python 2."""

import gettext


class NullTranslations(gettext.NullTranslations):
    """A translator that also answers to the names of Python 2."""

    def ugettext(self, message):
        """Translate a text."""
        return self.gettext(message)

    def ungettext(self, singular, plural, n):
        """Translate a text that depends on a number."""
        return self.ngettext(singular, plural, n)


class Translations(NullTranslations, gettext.GNUTranslations):
    """The same with a catalogue of messages."""
