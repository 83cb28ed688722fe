"""What runs in the offline engine's child processes: the models and the queue in front of them.

Nothing here is imported by the daemon's own process, and nothing here knows sessions.
"""
