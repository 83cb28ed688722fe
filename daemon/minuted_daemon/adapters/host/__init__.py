"""The machine around the daemon: systemd and the process's own memory.

Audio, storage and vendors have packages of their own.
"""
