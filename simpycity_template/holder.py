"""The earlier place of what says who has a connection."""

from simpycity_template.pool.owner import Holder, Status

__all__ = ["Holder", "Status"]
