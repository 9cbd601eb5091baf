"""Units of work, and the connections they have."""
