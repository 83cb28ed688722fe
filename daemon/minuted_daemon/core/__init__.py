"""The merge: pure decisions over audio positions, speaker events and texts. No I/O, clock, randomness or logging."""
