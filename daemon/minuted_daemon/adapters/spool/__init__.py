"""Audio that is kept until its turns are frozen, and audio that is kept for people. This side runs on the event loop.

What lies on disk, byte by byte, belongs in `files`.
"""
