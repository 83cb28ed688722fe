"""What runs in the child process that holds one device: PortAudio, its callback, its clock, its sound server.

Nothing here is imported by the daemon's own process.
"""
