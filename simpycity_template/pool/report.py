"""Who has the connections of a pool: for ``status()``, and for the error of a pool with none left."""

import sys
from time import monotonic

from simpycity_template.errors import PoolTimeout
from simpycity_template.pool.owner import ENDS_WITH_SCOPE, Owner, Status, in_one_line, scope_named
from simpycity_template.settings import Settings


def in_use(owners: list[Owner], now: float) -> list[Status]:
    """An entry for each of ``owners`` that has a connection, the oldest first."""
    frames = sys._current_frames()
    entries = []
    try:
        for owner in sorted(owners, key=lambda owner: owner.since):
            connection = owner.connection
            if connection is not None:
                entries.append(Status.of(connection, owner, now, frames))
    finally:
        # This frame is among them: a cycle, which would keep what all its callers have.
        frames.clear()
    return entries


def timeout_error(name: str, settings: Settings, owners: list[Owner]) -> PoolTimeout:
    """The error of who waited in vain, with a line for each code line that has connections.

    Arguments:
        name: of the pool.
        settings: its limits.
        owners: who has a connection, or is opening one.
    """
    now = monotonic()
    entries = in_use(owners, now)
    lines = [f"  {in_one_line(together)}" for together in _alike(entries)]
    lines += [
        f"  thread {owner.thread!r}, {scope_named(owner.label, owner.thread)}, has been "
        f"connecting to the server for {now - owner.since:.1f} s at {owner.place}"
        for owner in owners
        if owner.connection is None
    ]
    if any(entry.label == entry.thread for entry in entries):
        lines.append(ENDS_WITH_SCOPE)
    return PoolTimeout(
        f"no connection to {name!r} became free within {settings.pool_timeout:g} s: "
        f"all {settings.max_size} (pool_size {settings.pool_size} + max_overflow "
        f"{settings.max_overflow}) are held by\n" + "\n".join(lines)
    )


def _alike(entries: list[Status]) -> list[list[Status]]:
    """Put those together that differ in their session, thread and age alone."""
    found: dict[tuple[str | None, ...], list[Status]] = {}
    for entry in entries:
        key = (entry.label, entry.place, entry.transaction, entry.last_sql, entry.now_at)
        found.setdefault(key, []).append(entry)
    return list(found.values())
