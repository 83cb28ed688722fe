"""The offline engine: diarization and recognition in a worker process, without a network."""
