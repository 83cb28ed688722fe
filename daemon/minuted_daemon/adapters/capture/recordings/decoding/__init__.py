"""Decoders of recordings: in this process for plain formats, in a process of its own for all others.

Where a recording ends and what its head promises belongs in the package above.
"""
