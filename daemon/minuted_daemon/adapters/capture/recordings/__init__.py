"""Recordings as sources of audio: headers, formats, and how they are read to their last sample.

Pacing in real time belongs here too; devices do not.
"""
