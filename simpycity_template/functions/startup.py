"""Says in development what is wrong with the declared functions, without being asked.

Where ``simpycity.check_functions`` is on: when the application starts, as warnings in the log, and
in the error of a call that the database has no function for.
"""

import logging
from typing import Any

import psycopg2

from simpycity_template.functions.application import (
    ModelError,
    declared_by,
    import_modules,
    place,
)
from simpycity_template.functions.catalogue import Catalogue
from simpycity_template.functions.check import check
from simpycity_template.manager import Manager
from simpycity_template.simpycity_patches.no_such_function import explain_with

log = logging.getLogger(__name__)


_NOT_COMPARED = "the declared functions were not compared with the database: %s"


def check_functions(manager: Manager, package: str) -> None:
    """Compare the declarations of a package with the database, and log what is wrong.

    It does so where ``simpycity.check_functions`` is on, imports all modules of the package except
    its tests, and never raises because of what it finds.

    Arguments:
        manager: of the database; it is configured.
        package: its name, ``"helloworld"`` for example.
    """
    if not (manager.settings and manager.settings.check_functions):
        return
    explain_with(_explain)
    try:
        for finding in findings(manager, package):
            log.warning("%s", finding)
    except psycopg2.OperationalError as error:
        # Not a warning: what keeps us from the database keeps the first request from it, too.
        log.debug(_NOT_COMPARED, str(error).strip())
    except (ModelError, RuntimeError, psycopg2.Error) as error:
        log.warning(_NOT_COMPARED, str(error).strip())


def findings(manager: Manager, package: str) -> list[str]:
    """What is wrong with the declarations of a package, a sentence each; for a test of the model.

    Arguments:
        manager, package: as in ``check_functions()``.

    Raises:
        simpycity_template.functions.application.ModelError: a module of the package cannot be imported.
        psycopg2.Error: the database cannot be reached, or does not tell.
    """
    import_modules(package)
    link = psycopg2.connect(manager.dsn())
    try:
        report = check(link, declared_by(package, manager))
    finally:
        link.close()
    return [
        f"{place(one.file, one.line)}: {one.declaration}: {one.problem}"
        + (f" (instead: {one.instead})" if one.instead else "")
        for one in report.findings
    ]


def _explain(query: Any, manager: Any) -> str:
    """What the database has in place of what a call meant; empty where it is not to be asked."""
    if not (manager.settings and manager.settings.check_functions):
        return ""
    # A connection of its own: the transaction of the call is aborted.
    link = psycopg2.connect(manager.dsn())
    try:
        findings = check(link, [query]).findings
        catalogue = Catalogue(link, [query.query_base])
    finally:
        link.close()
    if findings:
        return "\n".join(
            one.problem + (f"\nWrite instead: {one.instead}" if one.instead else "")
            for one in findings
        )
    shown = "\n".join(
        f"    {one.signature(catalogue)}" for one in catalogue.meant(query.query_base)
    )
    return f"The database has\n{shown}\nwhich the values of this call do not fit."
