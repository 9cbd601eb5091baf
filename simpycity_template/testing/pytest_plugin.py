"""The fixture ``rolled_back`` of pytest."""

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
