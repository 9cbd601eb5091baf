"""Lets coverage.py report on translated modules, of which it cannot parse the installed files.

In its configuration:

    [run]
    core = ctrace
    plugins = simpycity_template.pylons_py3.coverage_plugin

Without the former it leaves plugins out on Python 3.14.
"""

from collections.abc import Iterator
from pathlib import Path
from types import CodeType

from coverage import CoveragePlugin, FileReporter, FileTracer
from coverage.exceptions import NoSource

from simpycity_template.pylons_py3.importer import loader_of


class Plugin(CoveragePlugin):
    """Tells coverage.py which files are ours."""

    def file_tracer(self, filename):
        """Return what traces a file, or None where coverage.py does it by itself."""
        return Tracer(filename) if loader_of(filename) else None

    def file_reporter(self, filename):
        """Return what reports on a file that was traced."""
        return Reporter(filename)

    def find_executable_files(self, src_dir):
        """Return our files in a folder, for those that were not imported."""
        return (str(path) for path in Path(src_dir).rglob("*.py") if loader_of(str(path)))


class Tracer(FileTracer):
    """Counts the lines of a file as they run; they are those of the installed file."""

    def __init__(self, filename):
        self._filename = filename

    def source_filename(self):
        """Return the installed file."""
        return self._filename


class Reporter(FileReporter):
    """Shows the source that runs, under the name of the installed file."""

    def __init__(self, filename):
        super().__init__(filename)
        loader = loader_of(filename)
        if loader is None:
            raise NoSource(f"{filename} is no longer what it was when it ran.")
        self._loader = loader

    def source(self):
        """Return the source that runs."""
        return self._loader.get_source(self._loader.name)

    def lines(self):
        """Return the numbers of the lines that can be run."""
        return set(_lines(self._loader.get_code(self._loader.name)))


def _lines(code: CodeType) -> Iterator[int]:
    # What a module begins with has line 0.
    yield from (line for _, _, line in code.co_lines() if line)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines(constant)


def coverage_init(registry, options):
    """Register the plugin; coverage.py calls this."""
    registry.add_file_tracer(Plugin())
