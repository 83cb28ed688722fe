"""What the daemon does, over ports only: sessions, their links, the way to the store and to subscribers."""
