"""Audio on disk for as long as it is needed: what a session's turns are made from, and what it may keep for good."""
