"""The fixture ``rolled_back`` of pytest, and tracebacks of SQL errors that end with the test's line."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest


@pytest.fixture
def rolled_back() -> Iterator[None]:
    """A transaction for the test, in each configured manager's database; nothing of it stays."""
    # In the fixture, because pytest loads this module in every project, also where nothing uses it.
    from simpycity_template.manager import configured_managers
    from simpycity_template.testing import rolled_back as block

    with ExitStack() as stack:
        for manager in configured_managers():
            stack.enter_context(block(manager))
        yield


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Show the line of the test, or of the application, last."""
    # Only where the package is in use: see above.
    if call.excinfo is not None and "simpycity_template.manager" in sys.modules:
        from simpycity_template.pool.tracebacks import end_at_application

        end_at_application(call.excinfo.value)
