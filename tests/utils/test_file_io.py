"""Files written as a whole."""

import errno
import os
from pathlib import Path

import pytest

from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.file_io import replacing, require_writable, write_atomically


def test_a_file_is_created_and_then_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    for data in (b"old and long", b"new", b""):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.md"
    write_atomically(path, b"old")

    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, fail)
            with pytest.raises(OSError, match="disk full"):
                write_atomically(path, b"new")
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]


def test_only_write_errors_mention_disk_space(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    own = str(tmp_path / f".report.md.{os.getpid()}.tmp")
    for source in (None, own, "source.md"):
        with pytest.raises(OSError, match="Input/output") as caught, replacing(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO), source)
        is_other = source == "source.md"
        assert ("make room" in str(caught.value)) != is_other
        assert caught.value.filename == (source if is_other else str(path))
    assert not list(tmp_path.iterdir())


def test_content_is_flushed_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.md"
    steps = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        steps.append(("fsync", status.st_ino, status.st_size))
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        steps.append(("replace", source.stat().st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write_atomically(path, b"12345")
    inode = path.stat().st_ino
    assert steps[:2] == [("fsync", inode, 5), ("replace", inode)]
    assert [step[:2] for step in steps[2:]] == [("fsync", tmp_path.stat().st_ino)]


def test_a_file_system_that_cannot_flush_folders_still_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync
    folder = tmp_path.stat().st_ino

    def fsync_files_only(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == folder:
            raise OSError("invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_files_only)
    write_atomically(tmp_path / "report.md", b"new")
    assert (tmp_path / "report.md").read_bytes() == b"new"


@pytest.mark.parametrize("address", ["s3://bucket/run", "gs:/x", "hdfs://a", "https://a/b"])
def test_an_address_is_no_place_to_write_to(address, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LangDGError, match="is an address, expected a local folder: mount"):
        require_writable(Path(address))
    with pytest.raises(LangDGError, match="is an address"):
        write_atomically(Path(address, "file"), b"")
    assert not list(tmp_path.iterdir())
    require_writable(tmp_path / "run:")
    require_writable(Path("run:1/seed:2"))
