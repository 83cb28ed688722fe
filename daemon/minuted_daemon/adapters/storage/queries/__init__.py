"""What is read from the store: pages of turns and sessions, what a resumed session needs, claims on a stretch.

Nothing here writes.
"""
