"""The daemon that turns a meeting room's microphones into speaker-attributed minutes."""
