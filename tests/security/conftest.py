"""A generated project with actions that fail in ways that visitors can cause."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import create, served, set_up

# Visitors decide what the error says.
FAILING = """
import logging

from pylons import request
from simpycity.core import Raw

from helloworld.lib.base import BaseController

log = logging.getLogger(__name__)
number = Raw("SELECT %s::bigint AS number", ["text"])


class FailingController(BaseController):
    def number(self):
        __traceback_info__ = request.params["text"]
        return str(number(request.params["text"]).fetchone()["number"])

    def noted(self):
        log.warning("asked for %s", request.params["text"])
        return "noted"
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, server: Any) -> Path:
    """The project, with its schema."""
    dsn = server.create_database()
    project = create(tmp_path_factory.mktemp("security"), "HelloWorld", f"dsn={dsn}")
    (project / "helloworld" / "controllers" / "failing.py").write_text(FAILING)
    set_up(project)
    return project


@pytest.fixture(scope="module")
def address(project: Path) -> Iterator[str]:
    """Where it is served with its development.ini."""
    with served(project) as address:
        yield address
