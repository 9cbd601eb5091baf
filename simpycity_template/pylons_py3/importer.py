"""Finds modules of Python 2 where they are installed, and loads their translation.

The ordinary finders say where a module is. What is loaded is its translation, compiled under
the name of the installed file, so that tracebacks, debuggers and profilers lead there; the line
that they show is the one that runs.
"""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import source_hash
from pkgutil import get_importer
from types import CodeType, ModuleType
from zipimport import zipimporter

from simpycity_template.pylons_py3 import cache, corrections
from simpycity_template.pylons_py3.startup import Finder

# What the packages below say of themselves while they are imported, and nobody here can change: with
# PYTHONWARNINGS=error nothing would start.
for message in (
    "pkg_resources is deprecated as an API",
    "Deprecated call to `pkg_resources.declare_namespace",
    "'cgi' is deprecated and slated for removal",
):
    warnings.filterwarnings("ignore", message)


def find_spec(fullname, path=None, target=None) -> ModuleSpec | None:
    """Return the spec of a module that is replaced, translated or corrected.

    Returns:
        None where the module is to be loaded as it is, or is not installed.

    Raises:
        ImportError: for another Pylons than the one that the corrections are made for, and for
            a module that is not carried to Python 3.
    """
    replacement = corrections.replacement(fullname)
    if replacement:
        return ModuleSpec(fullname, Alias(replacement), is_package=True)  # type: ignore[arg-type]
    corrections.check_carried(fullname)
    if not corrections.concerns(fullname):
        return None
    spec = _installed(fullname, path, target)
    if spec is None:
        return None
    if type(spec.loader) is SourceFileLoader:
        spec.loader = FileLoader(fullname, spec.loader.path)
    elif type(spec.loader) is not ZipLoader:
        return None
    if "." not in fullname:
        corrections.check_version(fullname, spec.submodule_search_locations)
    return spec


def _installed(fullname, path, target) -> ModuleSpec | None:
    for entry in sys.path if path is None else path:
        if type(get_importer(entry)) is zipimporter:
            spec = ZipLoader(entry).find_spec(fullname, target)
        else:
            spec = PathFinder.find_spec(fullname, [entry], target)
        # Without a loader it is a folder that is no package, and the search goes on.
        if spec is not None and spec.loader is not None:
            return spec
    for finder in sys.meta_path:
        if finder not in (Finder, PathFinder) and hasattr(finder, "find_spec"):
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                return spec
    return None


class Alias:
    """Loads a module by importing another, which takes its place in `sys.modules`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just put the alias' spec here.
        module.__spec__ = self.spec


class FileLoader(SourceFileLoader):
    """Loads a translated module from a file."""

    def translated(self) -> cache.Translated:
        """Return the translated module."""
        stats = os.stat(self.path)
        state = _bytes(stats.st_mtime) + _bytes(stats.st_size)
        return _translated(self.name, self.path, self.get_data, state)

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the translated module."""
        return self.translated().code

    def get_source(self, fullname: str) -> str:
        """Return the source that runs."""
        return self.translated().source

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        import linecache

        # Tracebacks, pdb and inspect would read the file otherwise, and inspect parses it.
        stats = os.stat(self.path)
        entry = (stats.st_size, stats.st_mtime, Lines(self), self.path)
        linecache.cache[self.path] = entry  # type: ignore[assignment]
        _provide_runtime(module)
        super().exec_module(module)


def loader_of(path: str) -> FileLoader | None:
    """Return the loader of an installed file, or None where it is loaded as it is."""
    folder, base = os.path.split(os.path.splitext(path)[0])
    names = [] if base == "__init__" else [base]
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder, base = os.path.split(folder)
        names.insert(0, base)
    name = ".".join(names)
    return FileLoader(name, path) if corrections.concerns(name) else None


class ZipLoader(zipimporter):
    """Loads a translated module from a zip archive."""

    def get_filename(self, fullname: str) -> str:
        """Return where the module is, without compiling it as the base class does."""
        base = os.path.join(self.archive, self.prefix + fullname.rpartition(".")[2])
        return os.path.join(base, "__init__.py") if self.is_package(fullname) else f"{base}.py"

    def translated(self, fullname: str) -> cache.Translated:
        """Return the translated module."""
        path = self.get_filename(fullname)
        return _translated(fullname, path, self.get_data, source_hash(self.get_data(path)))

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the translated module."""
        return self.translated(fullname).code

    def get_source(self, fullname: str) -> str:
        """Return the source that runs."""
        return self.translated(fullname).source

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        _provide_runtime(module)
        super().exec_module(module)


class Lines(Sequence):
    """The lines of the source that runs, read when a tool first asks for one."""

    def __init__(self, loader: FileLoader) -> None:
        self._loader = loader

    @cached_property
    def _lines(self) -> list[str]:
        return self._loader.get_source(self._loader.name).splitlines(keepends=True)

    def __getitem__(self, index):
        return self._lines[index]

    def __len__(self):
        return len(self._lines)


def _provide_runtime(module: ModuleType) -> None:
    if corrections.is_translated(module.__name__):
        module.__dict__["_py3"] = import_module("simpycity_template.pylons_py3.runtime")


# Translations that could not be written, or were not to be (PYTHONDONTWRITEBYTECODE). Each
# traceback asks for the source of its frames, and to translate them anew takes a second.
_unwritten: dict[tuple[str, bytes], cache.Translated] = {}


def _translated(
    name: str, path: str, get_data: Callable[[str], bytes], state: bytes
) -> cache.Translated:
    """Return a translated module, from the cache where it is there.

    Arguments:
        name: the module's full name.
        path: its installed file.
        get_data: reads that file.
        state: eight bytes that change with the file.
    """
    found = cache.read(path, state) or _unwritten.get((path, state))
    if found is None:
        from simpycity_template.pylons_py3.translation import translate

        found = cache.Translated.compiled(translate(get_data(path), name), path)
        if not cache.write(path, state, found):
            _unwritten[path, state] = found
    return found


def _bytes(number: float) -> bytes:
    return (int(number) & 0xFFFFFFFF).to_bytes(4, "little")
