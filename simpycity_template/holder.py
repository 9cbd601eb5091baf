"""The earlier place of what says who has a connection."""

from simpycity_template.pool.owner import Owner as Holder
from simpycity_template.pool.owner import Status

__all__ = ["Holder", "Status"]
