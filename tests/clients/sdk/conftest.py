"""Fixtures of the SDK's tests: the same server that the RPC tests talk to."""

from tests.rpc.conftest import room

__all__ = ["room"]
