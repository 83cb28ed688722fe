"""What survives a crash: a log of inputs, its replay, and the state a session goes on from.

Which sessions go on is decided in `lifecycle`.
"""
