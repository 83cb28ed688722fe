"""What can still be read in the files of a database, by whoever looks at their bytes."""

from pathlib import Path


def remains(path: Path, *texts: str) -> list[str]:
    """Return which of the texts are in the database file, its log or its shared memory."""
    files = [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
    raw = b"".join(file.read_bytes() for file in files if file.exists())
    return [text for text in texts if text.encode() in raw]
