"""What the INI files name as the class of a log's formatter."""

import logging

from simpycity_template.pylons_py3.log_entry import one_entry


class Formatter(logging.Formatter):
    """Writes each record as one entry: its further lines are indented, and nothing in it moves a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, with its traceback."""
        return one_entry(super().format(record))
