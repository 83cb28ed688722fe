"""Realtime transcription as OpenAI and others speak it: a pure codec, the matching of answers, and a socket loop.

Retries are decided in `service/retries`, turns in `core`.
"""
