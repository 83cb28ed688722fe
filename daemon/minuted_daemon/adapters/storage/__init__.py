"""The store in SQLite: tables, rows and the one thread that writes.

No other package writes SQL.
"""
