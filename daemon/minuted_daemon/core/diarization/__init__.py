"""Who is active when, from the events of one or more connections to a diarizer.

Cutting turns belongs in `core/merge`; sockets in `service/connections`.
"""
