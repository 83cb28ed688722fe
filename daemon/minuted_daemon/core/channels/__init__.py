"""Several channels become one: which are heard, how they are mixed, and what is odd about them.

Resampling and reading belong in `adapters/capture`.
"""
