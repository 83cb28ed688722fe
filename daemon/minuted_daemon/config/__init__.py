"""The configuration: sources (file, environment), values with their checks, settings as frozen dataclasses, keys.

What a running daemon does with a setting belongs where it is used.
"""
