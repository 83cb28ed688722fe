"""The merge: who holds the floor, where turns are cut, and what late news changes.

What the transcriber is sent and answers belongs in `core/transcription`.
"""
