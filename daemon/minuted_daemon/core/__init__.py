"""The decisions, pure: no I/O, clock, randomness, logging or async. The same inputs give the same outputs.

Anything that waits, opens or stores belongs in `service` or `adapters`.
"""
