"""The earlier place of the server's sessions."""

from simpycity_template.monitoring.pg_sessions import Session

__all__ = ["Session"]
