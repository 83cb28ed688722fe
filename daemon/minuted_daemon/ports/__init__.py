"""What the service needs of the outside, as small protocols with plain values.

No implementation, and no protobuf, row or vendor type belongs here.
"""
