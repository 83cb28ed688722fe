"""One session: its parts, its state, its pauses, its clock, and its end.

Anything about several sessions belongs in `lifecycle`.
"""
