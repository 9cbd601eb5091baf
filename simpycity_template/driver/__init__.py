"""psycopg2 alone: a connection that can be pooled. Knows no pool and no scope."""
