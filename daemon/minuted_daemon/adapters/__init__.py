"""Everything that touches the outside: sound, disk, vendors, models, the host. Each sub-package serves a port.

No decision about turns, sessions or retries belongs here, and no adapter imports another one's package.
"""
