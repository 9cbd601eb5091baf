"""The pool over the last minutes: its peaks, second by second, and who had to wait.

It listens instead of looking now and then, so that it does not miss the crowd of a moment.
"""

import weakref
from collections import defaultdict, deque
from dataclasses import dataclass
from time import monotonic, time

from simpycity_template.manager import Manager
from simpycity_template.pool.events import Event
from simpycity_template.process import fork

MINUTES = 5
SPAN = 60 * MINUTES
WAITS = 20
"""How many of the last waits are remembered."""


@dataclass
class Second:
    """What was seen in one second: the most, and how many were in use at its end."""

    number: int
    in_use: int = 0
    waiting: int = 0
    in_use_after: int = 0


@dataclass(frozen=True)
class Wait:
    """A thread that waited for a connection.

    Arguments:
        at: when it ended, in seconds since 1970.
        seconds: how long it waited.
        served: whether it got a connection; otherwise it got ``PoolTimeout``.
        label, thread, place: who it was.
    """

    at: float
    seconds: float
    served: bool
    label: str
    thread: str
    place: str


class History:
    """What has happened to a manager's connections of this process, from now on."""

    def __init__(self, manager: Manager) -> None:
        # Weakly: the manager keeps its listeners, so this history lives as long as it does.
        self._manager: Manager = weakref.proxy(manager)
        self.forked()
        for name in ("checkout", "checkin", "wait", "timeout"):
            manager.listen(name, self._note)

    def forked(self) -> None:
        """A child process has had no connection yet, and nobody has waited in it."""
        self._seconds: deque[Second] = deque(maxlen=SPAN)
        self._waits: deque[Wait] = deque(maxlen=WAITS)
        # How many waited at the end of each second, of those whose wait is over.
        self._waited: dict[int, int] = defaultdict(int)

    def seconds(self) -> list[tuple[int, int]]:
        """The most that were in use and waiting in each second, the oldest first."""
        self._look()
        seen = {second.number: second for second in list(self._seconds)}
        last = max(seen)
        first = last - SPAN + 1
        # Between events as many are in use as before.
        older = max((number for number in seen if number < first), default=None)
        before = Second(0) if older is None else seen[older]
        still_waiting = [int(holder.since) for holder in self._manager.waiting()]
        peaks = []
        for number in range(first, last + 1):
            waited = self._waited.get(number, 0) + sum(since <= number for since in still_waiting)
            second = seen.get(number)
            if second is None:
                peaks.append((before.in_use_after, waited))
            else:
                peaks.append((second.in_use, max(second.waiting, waited)))
                before = second
        return peaks

    def waits(self) -> list[Wait]:
        """The last waits, the newest first."""
        return list(self._waits)[::-1]

    def _note(self, event: Event) -> None:
        if event.name in ("wait", "timeout"):
            self._note_wait(event)
        # What has just come back was in use in this second, and who was served waited in it.
        self._look(event.name == "checkin", event.name == "wait")

    def _note_wait(self, event: Event) -> None:
        holder, now = event.holder, monotonic()
        self._waits.append(
            Wait(
                time(),
                event.seconds,
                event.name == "wait",
                holder.label,
                holder.thread,
                holder.place,
            )
        )
        oldest = int(now) - SPAN
        for number in range(max(int(now - event.seconds), oldest), int(now)):
            self._waited[number] += 1
        if len(self._waited) > 2 * SPAN:
            for number in [number for number in list(self._waited) if number < oldest]:
                self._waited.pop(number, None)

    def _look(self, just_in_use: bool = False, just_waiting: bool = False) -> None:
        metrics = self._manager.metrics()
        number = int(monotonic())
        if not self._seconds or self._seconds[-1].number < number:
            self._seconds.append(Second(number))
        second = self._seconds[-1]
        second.in_use = max(second.in_use, min(metrics.in_use + just_in_use, metrics.max_size))
        second.waiting = max(second.waiting, metrics.waiting + just_waiting)
        second.in_use_after = metrics.in_use


# One for each manager, however many applications show it: each listens as long as its manager lives.
_histories: "weakref.WeakKeyDictionary[Manager, History]" = weakref.WeakKeyDictionary()


def history_of(manager: Manager) -> History:
    """The history of ``manager``, which begins with the first call."""
    history = _histories.get(manager)
    if history is None:
        history = _histories[manager] = History(manager)
    return history


def _forked() -> None:
    for history in list(_histories.values()):
        history.forked()


fork.after_in_child(_forked)
