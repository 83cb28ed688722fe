"""The daemon that turns a meeting room's microphones into speaker-attributed minutes.

Here lie the command, the composition root and the errors; everything else has a package of its own.
"""
