"""The declarations of an application: those of its modules, also of the ones that nobody imported."""

import importlib
import os
import pkgutil
import sys
from typing import Any

from simpycity import config as simpycity_config
from simpycity.model import SimpleModel

from simpycity_template.manager import Manager
from simpycity_template.simpycity_patches.declarations import all_declared
from simpycity_template.simpycity_patches.handle import manager_of


class ModelError(Exception):
    """A module of the application cannot be imported; the message says which, and why."""


def import_modules(package: str) -> None:
    """Import every module of a package except its tests: any may declare something.

    Raises:
        ModelError: one cannot be imported.
    """
    top = _import(package)
    for found in pkgutil.walk_packages(getattr(top, "__path__", ()), f"{package}.", _failed):
        if "tests" not in found.name.split("."):
            _import(found.name)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ModelError(_sentence(name, error)) from error


def _failed(name: str) -> None:
    error = sys.exc_info()[1]
    if "tests" not in name.split(".") and error is not None:
        raise ModelError(_sentence(name, error)) from error


def _sentence(name: str, error: BaseException) -> str:
    line, traceback = "", error.__traceback__
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] == name.partition(".")[0]:
            line = f", {place(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)}"
        traceback = traceback.tb_next
    return f"{name} cannot be imported ({type(error).__name__}: {error}{line})"


def place(file: str, line: int) -> str:
    """A code line for people: the file from here, where it is below."""
    relative = os.path.relpath(file)
    return f"{file if relative.startswith(os.pardir) else relative}:{line}"


def declared_by(package: str | None, manager: Manager) -> list[Any]:
    """The query objects that are declared in a package and run on a manager's connections.

    Arguments:
        package: its name; None for all that there are.
        manager: whose database they are to be compared with.
    """
    folder = None
    if package is not None:
        module = sys.modules[package]
        folder = os.path.dirname(os.path.abspath(module.__file__ or ""))
        if not hasattr(module, "__path__"):
            folder = os.path.abspath(module.__file__ or "")
    configs = _configs()
    return [
        query
        for query in all_declared()
        if (folder is None or _is_below(query.declared_at[0], folder))
        and _manager_of(query, configs) is manager
    ]


def _is_below(file: str, folder: str) -> bool:
    file = os.path.abspath(file)
    return file == folder or file.startswith(folder + os.sep)


def _configs() -> dict[int, Any]:
    """The ``config`` of the model that each query object is an attribute of."""
    found: dict[int, Any] = {}
    waiting: list[type] = [SimpleModel]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        for value in vars(model).values():
            if hasattr(value, "declared_at"):
                found[id(value)] = getattr(model, "config", None)
    return found


def _manager_of(query: Any, configs: dict[int, Any]) -> Manager | None:
    handle = query.__attr__["handle"]
    if handle is not None:
        manager: Manager | None = getattr(handle, "manager", None)
        return manager
    return manager_of(configs.get(id(query)) or simpycity_config)
