"""Sessions from start to stop, and what is around them: neither pure nor an adapter. One floor above the other.

Vendors, SQL and protobuf belong elsewhere.
"""
