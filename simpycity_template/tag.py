"""The earlier place of the comment that says who runs a statement."""

from simpycity_template.driver.sql_comment import Tag

__all__ = ["Tag"]
