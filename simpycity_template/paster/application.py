"""Loads an application for a command that looks at its managers."""

import logging
import os

from paste.deploy import loadapp
from paste.script.command import BadCommand

from simpycity_template.manager import Manager, configured_managers
from simpycity_template.pylons_py3.cli_errors import sentence


def managers_of(ini: str) -> list[Manager]:
    """The managers that the application of an INI file configures.

    Arguments:
        ini: the file.

    Raises:
        BadCommand: there is no such file, its application cannot be loaded, or has no manager.
    """
    if not os.path.isfile(ini.partition("#")[0]):
        raise BadCommand(f"There is no file {ini}; name the application's INI file.")
    # What a command shows is not mixed with what the application would say at its start.
    logging.getLogger("simpycity_template.functions.startup").disabled = True
    try:
        loadapp(f"config:{ini}", relative_to=os.getcwd())
    except BadCommand:
        raise
    except Exception as error:
        # Of an ordinary mistake, what `paster serve` says of it.
        said = sentence(error)
        why = f"{ini}: the application could not be loaded ({type(error).__name__}: {error})"
        raise BadCommand(said or why) from error
    managers = configured_managers()
    if not managers:
        raise BadCommand(f"{ini}: the application has no configured manager, so no connections.")
    return managers
