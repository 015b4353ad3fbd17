"""Where images come from: files, folders, patterns, videos and cameras."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..data import ImageFileError, read_image
from ..data.image_io import IMAGE_SUFFIXES
from .clips import VIDEO_SUFFIXES, Camera, Frame, VideoFile


class ImageFiles:
    """Image files; those that cannot be read are left out.

    Attributes:
        name: for the progress bar.
        names: of the frames, in the order of the files.
        count: of the files.
        rate: None, as they are no clip.
        paths: of the files.
        problems: what could not be read so far, in words.
    """

    rate: None = None

    def __init__(self, *, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.names = _unique([path.stem for path in paths])
        self.name = paths[0].stem if len(paths) == 1 else "images"
        self.count = len(paths)
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        for name, path in zip(self.names, self.paths, strict=True):
            try:
                image = read_image(path)
            except ImageFileError as error:
                self.problems.append(str(error))
                continue
            yield Frame(name, image)


FrameSource = ImageFiles | VideoFile | Camera


def find_sources(inputs: Iterable[str]) -> list[FrameSource]:
    """Sources of files: one for all images, then one for each video.

    Args:
        inputs: files, folders (all images and videos directly in them) and patterns such as
            "night/*.jpg" or "city/**/*.png", each in order of names.

    Raises:
        FileNotFoundError: if an input stands for no file; names it.
        MediaError: if a video cannot be read.
    """
    paths = list(dict.fromkeys(path for name in inputs for path in _files(name)))
    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]
    images = [path for path in paths if path.suffix.lower() not in VIDEO_SUFFIXES]
    sources: list[FrameSource] = [ImageFiles(paths=images)] if images else []
    clips = [VideoFile(path=path) for path in videos]
    for clip, name in zip(clips, _unique([clip.name for clip in clips]), strict=True):
        clip.name = name
    return [*sources, *clips]


def _files(name: str) -> list[Path]:
    path = Path(name)
    if path.is_file():
        return [path]
    if path.is_dir():
        known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in known and p.is_file())
        if not found:
            raise FileNotFoundError(
                f"folder '{name}' holds no image or video; for its subfolders pass "
                f"'{path / '**' / '*.png'}' in quotes"
            )
        return found
    found = sorted(p for p in map(Path, glob.glob(name, recursive=True)) if p.is_file())
    if not found:
        raise FileNotFoundError(f"'{name}' is no file or folder, and as a pattern matches none")
    return found


def _unique(names: Sequence[str]) -> list[str]:
    """The names, from the second of a kind on with a number."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        unique.append(candidate)
    return unique
