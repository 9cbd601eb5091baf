"""`nose.tools`: the assertions of unittest as functions, and what marks a test."""

import re
import time
import unittest
from functools import wraps


class _Case(unittest.TestCase):
    """What the assertions are methods of."""

    def runTest(self):
        """Be made without the name of a test."""


_case = _Case()
_case.maxDiff = None

for _name in dir(_case):
    if _name.startswith("assert") and "_" not in _name:
        _function = getattr(_case, _name)
        # As in assert_equal, and under its own name.
        globals()[re.sub("([A-Z])", r"_\1", _name).lower()] = globals()[_name] = _function

# The names that unittest had on Python 2.
assert_equals = assert_equal  # type: ignore[name-defined] # noqa: F821
assert_not_equals = assert_not_equal  # type: ignore[name-defined] # noqa: F821
assert_almost_equals = assert_almost_equal  # type: ignore[name-defined] # noqa: F821
assert_raises_regexp = assert_raises_regex  # type: ignore[name-defined] # noqa: F821
assert_regexp_matches = assert_regex  # type: ignore[name-defined] # noqa: F821
assert_items_equal = assert_count_equal  # type: ignore[name-defined] # noqa: F821
assert_ = assert_true  # type: ignore[name-defined] # noqa: F821


def ok_(expression, message=None):
    """Fail unless an expression is true."""
    if not expression:
        raise AssertionError(message)


def eq_(a, b, message=None):
    """Fail unless two values are equal."""
    if not a == b:
        raise AssertionError(message or f"{a!r} != {b!r}")


def raises(*kinds):
    """Return a decorator of tests that pass when they raise one of some exceptions."""

    def decorate(test):
        @wraps(test)
        def run(*arguments, **options):
            try:
                test(*arguments, **options)
            except kinds:
                return
            raise AssertionError(f"{test.__name__}() did not raise {_names(kinds)}")

        return run

    return decorate


def _names(kinds):
    return " or ".join(kind.__name__ for kind in kinds)


def timed(limit):
    """Return a decorator of tests that fail when they take longer than a limit, in seconds."""

    def decorate(test):
        @wraps(test)
        def run(*arguments, **options):
            begin = time.monotonic()
            test(*arguments, **options)
            if time.monotonic() - begin > limit:
                raise AssertionError(f"{test.__name__}() took longer than {limit} seconds")

        return run

    return decorate


def with_setup(setup=None, teardown=None):
    """Return a decorator that runs a function before a test, and one after it."""

    def decorate(test):
        @wraps(test)
        def run(*arguments, **options):
            if setup:
                setup()
            try:
                test(*arguments, **options)
            finally:
                if teardown:
                    teardown()

        return run

    return decorate


def istest(function):
    """Mark a function as a test."""
    function.__test__ = True
    return function


def nottest(function):
    """Mark a function as no test."""
    function.__test__ = False
    return function


def make_decorator(function):
    """Return a decorator that gives a function the name and the marks of another."""
    return wraps(function)
