"""The `paster` template and commands."""
