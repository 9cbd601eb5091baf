"""What the INI files name as the class of a log's formatter."""

import logging
from typing import Any

from simpycity_template.pool.tracebacks import end_at_application
from simpycity_template.pylons_py3.log_entry import one_entry


class Formatter(logging.Formatter):
    """Writes each record as one entry: its further lines are indented, and nothing in it moves a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, with its traceback."""
        return one_entry(super().format(record))

    def formatException(self, ei: Any) -> str:
        """Return the text of a traceback; that of an SQL error ends with the application's line."""
        error = ei[1]
        if error is not None:
            # It may have been caught inside its scope, whose end would have shortened it.
            end_at_application(error)
        return super().formatException(ei)
