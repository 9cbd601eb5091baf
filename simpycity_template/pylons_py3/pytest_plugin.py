"""Loads an application before its tests are collected.

It is for projects whose tests import `pylons.test.pylonsapp`, which
``nosetests --with-pylons=test.ini`` used to set:

    pytest -p simpycity_template.pylons_py3.pytest_plugin --with-pylons=test.ini
"""


def pytest_addoption(parser):
    """Add the option that Pylons' plugin for nose has."""
    parser.getgroup("pylons").addoption(
        "--with-pylons", metavar="FILE", help="load the Pylons application of this INI file"
    )


def pytest_configure(config):
    """Load the application."""
    if config.getoption("with_pylons"):
        from pylons.test import PylonsPlugin

        plugin = PylonsPlugin()
        plugin.config_file = config.getoption("with_pylons")
        plugin.begin()
