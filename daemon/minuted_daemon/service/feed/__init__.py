"""Committed changes and partials on their way to subscribers: a cursor, a replay, then live, without a seam.

Writing to the store belongs in `persistence`.
"""
