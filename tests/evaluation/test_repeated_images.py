"""Images that are scored twice or were trained on are found, whatever their files are called."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langdg_d2.data import copy_uncompressed
from langdg_d2.evaluation.completeness import repeated_images


def photos(folder: Path, count: int, suffix: str = ".png") -> list[str]:
    """Files of random images, each another one."""
    folder.mkdir()
    rng = np.random.default_rng(list(folder.name.encode()))
    files = [folder / f"{k}{suffix}" for k in range(count)]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(file)
    return [str(file) for file in files]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_images_that_differ_are_not_named(tmp_path: Path, suffix: str) -> None:
    scored = {name: photos(tmp_path / name, 5, suffix) for name in ("a", "b")}
    trained = photos(tmp_path / "trained", 5, suffix)
    assert repeated_images(scored, trained) == {"a": {}, "b": {}}


def test_images_of_equal_size_in_bytes_are_told_apart(tmp_path: Path) -> None:
    files = [tmp_path / f"{row}.png" for row in (1, 100, 200, 398)]
    for file in files:
        pixels = np.zeros((400, 300, 3), np.uint8)
        pixels[int(file.stem), 7] = 1
        Image.fromarray(pixels).save(file)
        copy_uncompressed(file, file)
    for k in (0, 1):  # here the ends are equal
        pixels[200] = k
        files.append(tmp_path / f"{k}.bmp")
        Image.fromarray(pixels).save(files[-1])
    assert len({file.stat().st_size for file in files}) == 2
    assert repeated_images({"a": [str(file) for file in files]}) == {"a": {}}


def test_links_and_copies_of_images_trained_on_are_counted(tmp_path: Path) -> None:
    trained, scored = (photos(tmp_path / name, 4) for name in ("trained", "scored"))
    shutil.copy(trained[0], scored[1])
    Path(scored[2]).unlink()
    Path(scored[2]).symlink_to(trained[3])
    found = {"a": {"3 of 5 images trained on": scored[1]}}
    assert repeated_images({"a": [*scored, trained[2]]}, trained) == found
    assert repeated_images({"a": scored[::3]}, trained) == {"a": {}}


def test_images_of_two_domains_are_named_with_both(tmp_path: Path) -> None:
    fog, rain = (photos(tmp_path / name, 3) for name in ("fog", "rain"))
    for k in (1, 2):
        shutil.copy(fog[k], rain[k])
    assert repeated_images({"fog": fog, "rain": rain}) == {
        "fog": {"2 of 3 images also in rain": fog[1]},
        "rain": {"2 of 3 images also in fog": rain[1]},
    }


def test_one_image_many_times_is_named_and_a_few_twins_are_not(tmp_path: Path) -> None:
    files = photos(tmp_path / "a", 100)
    shutil.copy(files[0], files[1])
    assert repeated_images({"a": files}) == {"a": {}}
    shutil.copy(files[0], files[2])
    assert repeated_images({"a": files}) == {"a": {"2 of 100 images repeat others": files[1]}}
    assert repeated_images({"a": files[:1] * 5}) == {"a": {"4 of 5 images repeat others": files[0]}}


def test_missing_files_are_left_to_those_who_read_them(tmp_path: Path) -> None:
    missing = [str(tmp_path / "1.png"), str(tmp_path / "2.png")]
    assert repeated_images({"a": missing}, missing) == {"a": {}}
