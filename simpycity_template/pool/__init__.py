"""The connections to one database, and who has them."""
