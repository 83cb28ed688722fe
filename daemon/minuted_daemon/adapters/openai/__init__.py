"""OpenAI's realtime transcription as a transcriber."""
