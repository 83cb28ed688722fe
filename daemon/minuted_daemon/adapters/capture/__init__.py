"""Sources of audio: the machine's inputs, each captured by a process of its own, and recordings."""
