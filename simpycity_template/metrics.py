"""The numbers of a manager."""

from simpycity_template.pool.metrics import Histogram, Metrics

__all__ = ["Histogram", "Metrics"]
