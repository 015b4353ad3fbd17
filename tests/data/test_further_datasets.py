"""UrbanSyn, IDD and Dark Zurich on small files in their own formats."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from langdg_d2.data import DatasetError, ImageFileError, TestMapper
from langdg_d2.data.checks import CopyCheck, Kind
from langdg_d2.data.datasets.builtin import FAMILIES

SIZE = (20, 32)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def pair(seed: int, highest: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red channel is 7 times the raw label id, and the label with every id."""
    ids = np.random.default_rng(seed).permutation([*range(highest + 1), 255]).astype(np.uint8)
    label = np.resize(ids, SIZE)
    image = np.stack([label * np.uint8(7), label, label], axis=-1)
    return image, label


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that the data sets are looked for in."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


def write_urbansyn(root: Path) -> str:
    for k in (1, 2, 7539):
        image, label = pair(k, 19)
        save(root / f"urbansyn/rgb/rgb_{k:04d}.png", image)
        save(root / f"urbansyn/ss/ss_{k:04d}.png", label)
        save(root / f"urbansyn/ss_colour/ss_colour_{k:04d}.png", image)
    return "urbansyn_sem_seg_all"


def write_idd(root: Path) -> str:
    for drive, frame in (("119", "035471"), ("119", "038937"), ("206", "035471")):
        image, label = pair(int(frame), 18)
        stem = f"val/{drive}/{frame}"
        save(root / f"idd/leftImg8bit/{stem}_leftImg8bit.png", image)
        save(root / f"idd/gtFine/{stem}_gtFine_labelcsTrainIds.png", label)
        save(root / f"idd/gtFine/{stem}_gtFine_labellevel3Ids.png", np.zeros_like(label))
        (root / f"idd/gtFine/{stem}_gtFine_polygons.json").write_text("{}")
    return "idd_sem_seg_val"


def write_dark_zurich(root: Path) -> str:
    for frame in (324, 391, 402):
        image, label = pair(frame, 18)
        stem = f"GOPR0356/GOPR0356_frame_{frame:06d}"
        save(root / f"dark_zurich/rgb_anon/val/night/{stem}_rgb_anon.png", image)
        for kind in ("labelTrainIds", "labelIds", "invIds"):
            pixels = label if kind == "labelTrainIds" else np.zeros_like(label)
            save(root / f"dark_zurich/gt/val/night/{stem}_gt_{kind}.png", pixels)
        save(
            root / f"dark_zurich/rgb_anon/val_ref/day/GOPR0356_ref/{frame}_ref_rgb_anon.png", image
        )
    return "dark_zurich_sem_seg_val"


WRITERS = {"urbansyn": write_urbansyn, "idd": write_idd, "dark_zurich": write_dark_zurich}
NAMES = {
    "urbansyn_sem_seg_all": "urbansyn",
    "idd_sem_seg_train": "idd",
    "idd_sem_seg_val": "idd",
    "dark_zurich_sem_seg_val": "dark_zurich",
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_pairs_are_found_and_labels_read_as_train_ids(root: Path, write: Callable[[Path], str]):
    records = DatasetCatalog.get(write(root))
    assert len(records) == len({record["image_id"] for record in records}) == 3
    for record in records:
        output = TestMapper()(record)
        raw = output["image"][1].numpy()
        label = output["sem_seg"].numpy()
        assert set(np.unique(label)) == {*range(19), 255}
        for train_id in range(19):
            assert (label[raw == train_id] == train_id).all()
        assert (label[raw == 255] == 255).all()
        assert (label[raw == 19] == 255).all()


@pytest.mark.parametrize(("name", "domain"), NAMES.items())
def test_metadata_names_the_domain_and_missing_folders_are_told(root: Path, name: str, domain: str):
    assert MetadataCatalog.get(name).domain == domain
    assert MetadataCatalog.get(name).condition == ("night" if "dark" in domain else "clear")
    with pytest.raises(DatasetError, match=rf"{domain}.* does not exist. Set DETECTRON2_DATASETS"):
        DatasetCatalog.get(name)


@pytest.mark.parametrize(
    ("write", "damaged"),
    [
        (write_urbansyn, "urbansyn/ss/ss_0002.png"),
        (write_idd, "idd/gtFine/val/206/*csTrainIds.png"),
        (write_dark_zurich, "dark_zurich/gt/val/night/GOPR0356/*391_gt_labelTrainIds.png"),
    ],
    ids=WRITERS,
)
def test_image_without_its_label_is_named(root: Path, write: Callable[[Path], str], damaged: str):
    name = write(root)
    [label] = root.glob(damaged)
    label.unlink()
    with pytest.raises(DatasetError, match=rf"1 of 3 image-label pairs lack a file.*{label.name}"):
        DatasetCatalog.get(name)


def test_id_19_means_unlabelled_in_urbansyn_alone(root: Path):
    write_urbansyn(root)
    name = write_idd(root)
    [label] = root.glob("idd/gtFine/val/206/*csTrainIds.png")
    Image.open(root / "urbansyn/ss/ss_0001.png").save(label)
    records = DatasetCatalog.get(name)
    with pytest.raises(ImageFileError, match=rf"{label.name}.*label ids \[19\] are not in"):
        TestMapper()(records[-1])


def test_idd_without_drawn_labels_says_how_to_draw_them(root: Path):
    name = write_idd(root)
    for label in root.glob("idd/gtFine/val/*/*csTrainIds.png"):
        label.unlink()
    with pytest.raises(DatasetError, match=r"3 of 3 .*createLabels.py .*--id-type csTrainId"):
        DatasetCatalog.get(name)
    report = CopyCheck(root=root, subset=True).check(FAMILIES["idd"], "val")
    assert [*report.problems] == [Kind.MISSING_FILE]
    assert "createLabels.py" in report.remedies[Kind.MISSING_FILE]
    assert "unpack it again" not in report.text()


def test_idd_tells_frames_of_one_number_apart_by_their_drive(root: Path):
    ids = [record["image_id"] for record in DatasetCatalog.get(write_idd(root))]
    assert ids == ["119_035471_leftImg8bit", "119_038937_leftImg8bit", "206_035471_leftImg8bit"]


def test_idd_passes_over_the_jpeg_images_of_part_two(root: Path):
    name = write_idd(root)
    save(root / "idd/leftImg8bit/val/201/frame0029_leftImg8bit.jpg", pair(0, 18)[0])
    assert len(DatasetCatalog.get(name)) == 3


def test_dark_zurich_takes_no_image_of_the_day(root: Path):
    records = DatasetCatalog.get(write_dark_zurich(root))
    assert all("val/night" in Path(record["file_name"]).as_posix() for record in records)
    assert {record["label_encoding"] for record in records} == {"train ids"}
