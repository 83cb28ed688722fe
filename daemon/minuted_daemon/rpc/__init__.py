"""The gRPC interface: requests are read and answers written here, and errors become statuses.

Decisions belong in `service`; only this package and the clients know protobuf.
"""
