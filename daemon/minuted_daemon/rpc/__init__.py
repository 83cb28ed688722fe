"""The contract in proto/ over gRPC: what comes in is checked, what goes out converted; decided is in service/."""
