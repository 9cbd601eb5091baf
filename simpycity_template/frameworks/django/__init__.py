"""Django: ``"simpycity_template.frameworks.django"`` in ``INSTALLED_APPS``."""

from simpycity_template.frameworks import installed

with installed("django"):
    import django  # noqa: F401
