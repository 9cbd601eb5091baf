"""The declared functions beside those of the database: checked, written and typed."""
