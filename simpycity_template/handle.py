"""The earlier place of the managed handle."""

from simpycity_template.simpycity_patches.handle import ManagedHandle

__all__ = ["ManagedHandle"]
