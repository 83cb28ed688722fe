"""Voice as a signal: activity by frame, clips of one speaker, likeness of voice prints.

Models run in adapters; only their results come here.
"""
