"""Which engines there are, what `auto` means, and which one takes over when another fails.

Connections and their retries belong in `connections`.
"""
