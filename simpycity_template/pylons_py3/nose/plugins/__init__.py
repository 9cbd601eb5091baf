"""`nose.plugins`; what stands for Pylons' plugin is `pytest_plugin`, which starts it."""


class Plugin:
    """The base of Pylons' plugin, so that `pylons.test` can be imported."""
