"""Files are found by name, whatever the suffix; lists of splits in every usual form."""

from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from langdg_d2.data import DatasetError, TestMapper, image_folder
from langdg_d2.data.checks import CopyCheck
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.data.datasets.folders import folders_below
from langdg_d2.data.datasets.split_lists import read_split_list

IMAGES = {
    "gta5_sem_seg_all": "gta5/images/00002.png",
    "gta5_sem_seg_train": "gta5/images/00002.png",
    "synthia_sem_seg_all": "synthia/RGB/0000002.png",
    "synthia_sem_seg_val": "synthia/RGB/0000002.png",
    "cityscapes_sem_seg_val": "cityscapes/leftImg8bit/val/ulm/ulm_000001_000019_leftImg8bit.png",
    "acdc_fog_sem_seg_val": "acdc/rgb_anon/fog/val/GOPR1/GOPR1_frame_000001_rgb_anon.png",
    "bdd100k_sem_seg_val": "bdd100k/seg/images/val/7d06fefd-f7be0501.jpg",
    "mapillary_sem_seg_val": "mapillary/validation/images/_-0Vz1Mz0aKyh9oRU4Hp01A.jpg",
}


@pytest.fixture(autouse=True)
def _root(copy, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(copy))


@pytest.mark.parametrize("suffix", [".PNG", ".JPG", ".jpeg", ".webp"])
@pytest.mark.parametrize(("name", "image"), IMAGES.items(), ids=IMAGES)
def test_images_are_found_whatever_their_suffix(copy, name, image, suffix):
    expected = [record["image_id"] for record in DatasetCatalog.get(name)]
    Image.open(copy / image).save((copy / image).with_suffix(suffix))
    (copy / image).unlink()
    records = DatasetCatalog.get(name)
    assert [record["image_id"] for record in records] == expected
    assert sum(record["file_name"].endswith(suffix) for record in records) == 1
    family, split = name.split("_sem_seg_")
    report = CopyCheck(root=copy, subset=True).check(FAMILIES[family], split)
    assert not report.problems


@pytest.mark.parametrize(("name", "image"), IMAGES.items(), ids=IMAGES)
def test_two_files_of_one_stem_are_refused(copy, name, image):
    Image.open(copy / image).save((copy / image).with_suffix(".tif"))
    with pytest.raises(DatasetError, match=r"\.tif: nothing says which counts"):
        DatasetCatalog.get(name)


@pytest.mark.parametrize("name", IMAGES)
def test_labels_are_found_whatever_their_suffixs_case(copy, name):
    expected = DatasetCatalog.get(name)
    label = Path(expected[1]["sem_seg_file_name"])
    label.rename(label.with_suffix(".PNG"))
    records = DatasetCatalog.get(name)
    assert len(records) == len(expected)
    assert records[1]["sem_seg_file_name"] == str(label.with_suffix(".PNG"))


def test_folder_of_pictures_is_listed_and_read_upright(tmp_path):
    pictures = tmp_path / "pictures"
    (pictures / "night").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 10, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(pictures / "night" / "a.PNG", exif=exif)
    Image.fromarray(pixels).save(pictures / "b.webp")
    (pictures / "notes.txt").write_text("")
    (pictures / "night" / "up").symlink_to(pictures)
    records = image_folder(pictures)
    assert [record["image_id"] for record in records] == ["b", "night/a"]
    turned = TestMapper()(records[1])
    assert (turned["height"], turned["width"]) == (10, 6)
    assert (turned["image"].numpy().transpose(1, 2, 0) == np.rot90(pixels, 3)).all()


@pytest.mark.parametrize(
    ("name", "problem"), [("nowhere", "is not a folder"), ("empty", "holds no image")]
)
def test_folder_without_pictures_is_named(tmp_path, name, problem):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=rf"{name}' {problem}; expected files that end in"):
        image_folder(tmp_path / name)


def test_links_that_lead_back_up_end(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "self").symlink_to(root)
    (root / "a" / "up").symlink_to(root / "a")
    (tmp_path / "elsewhere").mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    found = [path.relative_to(root).as_posix() for path in folders_below(root)]
    assert found == [".", "a", "linked"]


LINES = {
    "plain": ("00003.png", "00003"),
    "without suffix": ("00003", "00003"),
    "folder": ("images/00003.png", "00003"),
    "image and label": ("images/00003.png labels/00003.png", "00003"),
    "tab": ("images/00003.png\tlabels/00003.png", "00003"),
    "comma": ("images/00003.png,labels/00003.png", "00003"),
    "blank in the path": ("/content/drive/My Drive/gta5/images/00003.png", "00003"),
    "blanks and label": ("/My Drive/a/00003.jpg /My Drive/b/00003.png", "00003"),
    "blank in the name": ("images/street 3.JPG", "street 3"),
    "Windows": ("gta5\\images\\00003.png", "00003"),
    "drive": ("D:\\My data\\gta5\\00003.png", "00003"),
    "quoted": ('"my images/00003.png"', "00003"),
    "dots": ("images/v1.2/frame.0.5.png", "frame.0.5"),
    "blanks around": ("  00003.png  ", "00003"),
}


@pytest.mark.parametrize(("line", "stem"), LINES.values(), ids=LINES)
def test_lines_of_lists_name_images(tmp_path, line, stem):
    (tmp_path / "list.txt").write_text(f"first.png\n\n{line}\n")
    assert read_split_list(tmp_path / "list.txt", dataset="X") == ["first", stem]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_of_usual_encodings_and_line_ends_are_read(tmp_path, encoding, end):
    text = end.join(["straße 1.png", "images/2.png labels/2.png", ""])
    (tmp_path / "list.txt").write_bytes(text.encode(encoding))
    assert read_split_list(tmp_path / "list.txt", dataset="X") == ["straße 1", "2"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("00001.png\n00002.png".encode("utf-16-le"), r"line 1: .* names no image, expected a file"),
        (b"00001.png\nimages/\n", r"line 2: 'images/' names no image"),
        (b"\xff\xfe\x00", r"is not text of the encoding that its first bytes name"),
        (b"\n \n", r"is empty, expected the name of an image on every line"),
    ],
    ids=["UTF-16 without mark", "folder", "cut UTF-16", "empty"],
)
def test_lists_that_name_no_image_are_refused(tmp_path, content, says):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"X: '.*list\.txt'.* ?{says}"):
        read_split_list(tmp_path / "list.txt", dataset="X")


def test_lists_that_name_an_image_twice_are_refused(tmp_path):
    (tmp_path / "list.txt").write_text("images/1.png\n2\n\n1\n")
    with pytest.raises(DatasetError, match=r"names '1' in the lines 1 and 4, expected .* once"):
        read_split_list(tmp_path / "list.txt", dataset="X")


def test_files_that_are_passed_over_are_named(tmp_path, caplog):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (2, 2)).save(folder / "a.png")
    (folder / "b.heic").touch()
    assert [record["image_id"] for record in image_folder(folder)] == ["a"]
    assert "that are not images: b.heic" in caplog.text
