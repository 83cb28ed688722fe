"""Files of the spool: records, segments, notes and kept audio, and what a crash leaves of them.

Blocking code for the disk thread; queues and bounds belong in the package above.
"""
