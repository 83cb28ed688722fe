"""The database file as a whole: opening, checking, migrating, backing up.

Rows and queries belong beside it.
"""
