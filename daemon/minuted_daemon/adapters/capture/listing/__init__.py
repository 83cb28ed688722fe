"""Which input devices there are, and their stable names. Listing runs in a short-lived child process of its own.

Opening a device belongs in `worker`.
"""
