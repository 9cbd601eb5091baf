"""What tests take from nose, which cannot be imported on current Pythons; pytest runs them."""

from unittest import SkipTest as SkipTest

from simpycity_template.pylons_py3.nose import tools as tools
