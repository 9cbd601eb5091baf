"""The earlier place of the Paster template."""

from simpycity_template.paster.template import SimpycityTemplate

__all__ = ["SimpycityTemplate"]
