"""`nose.plugins.skip`."""

from unittest import SkipTest as SkipTest
