"""Meters that share the transaction of an ORM or of a web request. One module per library; see README.md."""
