"""What the daemon and the capture process say to each other, as bytes. Both sides import it.

No process is started and no device opened here.
"""
