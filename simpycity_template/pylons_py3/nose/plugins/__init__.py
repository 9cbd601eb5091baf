"""`nose.plugins`."""
