"""The gRPC face: requests are checked and converted here, and errors become statuses.

Decisions belong in `service`; only this package and the clients know protobuf.
"""
