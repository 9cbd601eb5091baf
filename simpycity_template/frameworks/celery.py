"""Celery: ``scope_tasks(manager)`` where the Celery application is made."""

from __future__ import annotations

from typing import Any

from simpycity_template.frameworks import installed
from simpycity_template.manager import Manager
from simpycity_template.pool.lost_writes import Outcome
from simpycity_template.scopes.scope import Scope

with installed("celery"):
    from celery import states
    from celery.signals import task_postrun, task_prerun


def scope_tasks(manager: Manager) -> None:
    """Give each task of this process a scope of ``manager``, named ``notes.add[its id]``.

    It lasts from ``task_prerun`` to ``task_postrun``, which Celery sends however a task ends.
    """

    def begin(task: Any, task_id: str, **_: Any) -> None:
        # One that is not eager runs inside no other: there a time limit has interrupted the end.
        while not task.request.is_eager and manager.scopes.end(_is_task, failed=True):
            pass
        manager.scopes.enter(_Task(f"{task.name}[{task_id}]"))

    def end(task: Any, task_id: str, state: str | None = None, **_: Any) -> None:
        # Celery has caught the exception of a task that failed, and of one to be tried again.
        ended = manager.scopes.end(_is_task, state != states.SUCCESS)
        if not ended and not task.request.is_eager:
            # A time limit has interrupted the beginning, and Celery logs what a receiver raises.
            manager.cleanup()

    # Celery calls a receiver once for each dispatch_uid, however often this is called.
    uid = f"simpycity_template {manager.name}"
    task_prerun.connect(begin, weak=False, dispatch_uid=uid)
    task_postrun.connect(end, weak=False, dispatch_uid=uid)


class _Task(Scope):
    """What a receiver ends is what a receiver began."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.outcome = Outcome()


def _is_task(scope: Scope) -> bool:
    return isinstance(scope, _Task)
