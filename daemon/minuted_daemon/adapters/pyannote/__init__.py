"""pyannoteAI's live diarization as a diarizer."""
