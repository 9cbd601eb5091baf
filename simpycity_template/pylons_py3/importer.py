"""Finds modules of Python 2 where they are installed, and loads their translation.

The ordinary finders say where a module is. What is loaded is its translation, compiled under
the name of the installed file, so that tracebacks, debuggers and profilers lead there.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import source_hash, spec_from_loader
from types import CodeType, ModuleType
from zipimport import zipimporter

from simpycity_template.pylons_py3 import cache, corrections
from simpycity_template.pylons_py3.startup import Finder


def find_spec(fullname, path=None, target=None) -> ModuleSpec | None:
    """Return the spec of a module that is replaced, translated or corrected.

    Returns:
        None where the module is to be loaded as it is, or is not installed.

    Raises:
        ImportError: for another Pylons than the one that the corrections are made for.
    """
    replacement = corrections.replacement(fullname)
    if replacement:
        return spec_from_loader(fullname, Alias(replacement), is_package=True)
    if not corrections.concerns(fullname):
        return None
    spec = _installed(fullname, path, target)
    if spec is None:
        return None
    if type(spec.loader) is SourceFileLoader:
        spec.loader = FileLoader(fullname, spec.loader.path)
    elif type(spec.loader) is zipimporter:
        spec.loader = ZipLoader(os.path.join(spec.loader.archive, spec.loader.prefix))
    else:
        return None
    if "." not in fullname:
        corrections.check_version(fullname, spec.submodule_search_locations)
    spec.cached = None
    return spec


def _installed(fullname, path, target) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not Finder and hasattr(finder, "find_spec"):
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                return spec
    return None


class Alias(Loader):
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

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the translated module."""
        stats = self.path_stats(self.path)
        state = _bytes(stats["mtime"]) + _bytes(stats["size"])
        return _code(fullname, self.path, self.get_data, state)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        _provide_runtime(module)
        super().exec_module(module)


class ZipLoader(zipimporter):
    """Loads a translated module from a zip archive."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the translated module."""
        path = self.get_filename(fullname)
        return _code(fullname, path, self.get_data, source_hash(self.get_data(path)))

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        _provide_runtime(module)
        super().exec_module(module)


def _provide_runtime(module: ModuleType) -> None:
    if corrections.is_translated(module.__name__):
        module.__dict__["_py3"] = import_module("simpycity_template.pylons_py3.runtime")


def _code(name: str, path: str, get_data: Callable[[str], bytes], state: bytes) -> CodeType:
    """Return the code of a translated module, from the cache where it is there.

    Args:
        name: the module's full name.
        path: its installed file.
        get_data: reads that file.
        state: eight bytes that change with the file.
    """
    code = cache.read(path, state)
    if code is None:
        from simpycity_template.pylons_py3.translation import compile_module

        code = compile_module(get_data(path), path, name)
        cache.write(path, state, code)
    return code


def _bytes(number: float) -> bytes:
    return (int(number) & 0xFFFFFFFF).to_bytes(4, "little")
