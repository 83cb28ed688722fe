"""Working turns on their way to the transcriber: what is sent, which answer belongs to which turn, what is asked again.

Where turns begin and end is decided in `core/merge`.
"""
