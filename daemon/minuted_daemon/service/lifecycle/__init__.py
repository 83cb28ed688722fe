"""All sessions of the daemon: started, found again after a restart or a crash, stopped, deleted.

What happens inside one session belongs in `session`.
"""
