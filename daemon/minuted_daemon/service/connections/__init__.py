"""Connections of a session to its engines: opened, renewed before their limit, opened again after a fault.

When to try again is decided in `retries`; which engine serves, in `engines`.
"""
