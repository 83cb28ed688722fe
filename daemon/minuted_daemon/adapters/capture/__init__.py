"""Sound from devices and recordings, as blocks on the sample clock. This side runs in the daemon.

What opens PortAudio runs in child processes (`worker`, `listing`); nothing here may load it into the daemon.
"""
