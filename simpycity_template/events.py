"""What happens to connections: the event that a listener gets."""

from simpycity_template.pool.events import EVENTS, HOLD_BUCKETS, Event, Listener

__all__ = ["EVENTS", "HOLD_BUCKETS", "Event", "Listener"]
