"""The earlier place of the paster command."""

from simpycity_template.paster.connections import ConnectionsCommand

__all__ = ["ConnectionsCommand"]
