"""The client library of minuted."""
