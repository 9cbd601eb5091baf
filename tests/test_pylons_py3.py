"""Pylons 1.0.3, as it is installed, on Python 3."""

import importlib
import pkgutil

import pylons
import pytest

# Asks for repoze.bfg, and for a module of Pylons that does not exist, on Python 2 as well.
BROKEN = {"pylons.url"}
MODULES = [
    module.name
    for module in pkgutil.walk_packages(pylons.__path__, "pylons.")
    if module.name not in BROKEN
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_pylons_can_be_imported(name):
    assert importlib.import_module(name)
