"""The installer behind ``pymeter.migrate`` and ``pymeter.bundle``.

outcome.py     the report of an installation, the status of a schema, the error
sources.py     which files there are, in which order they run, and their fingerprint
statements/    the installer's own SQL, as text: the same for a database and for a bundle
engine.py      runs all of it in one transaction
"""
