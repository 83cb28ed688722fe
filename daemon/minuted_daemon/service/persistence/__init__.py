"""Records on their way to the store: queued, written in order, then published.

SQL belongs in the storage adapter, delivery to subscribers in `feed`.
"""
