"""Images without labels."""

from pathlib import Path
from typing import Any

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def image_folder(path: str) -> list[dict[str, Any]]:
    """Dataset dicts of all images below a folder."""
    files = sorted(f for f in Path(path).rglob("*") if f.suffix.lower() in SUFFIXES)
    return [{"file_name": str(file), "image_id": file.stem} for file in files]
