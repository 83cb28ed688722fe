"""Streaming diarization by pyannoteAI: a pure codec and a socket loop.

Retries are decided in `service/retries`, speakers in `core/diarization`.
"""
