"""Prediction files, read back."""

import fnmatch
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.data.samplers import InferenceSampler
from PIL import Image

from langdg_d2.evaluation import PredictionWriter
from langdg_d2.structures import CITYSCAPES_19, LabelSpace
from langdg_d2.structures.label_encoding import CITYSCAPES_LABEL_IDS
from langdg_d2.utils.errors import LangDGError

DATASET = "test_prediction_writer"
FILES = [
    "/data/leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png",
    "/data/leftImg8bit/val/bonn/bonn_000000_000019_leftImg8bit.png",
    "/data/leftImg8bit/val/bonn/same.jpg",
    "/data/leftImg8bit/val/ulm/same.jpg",
]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    DatasetCatalog.register(DATASET, lambda: [{"file_name": name} for name in FILES])
    yield
    DatasetCatalog.remove(DATASET)


def classes_of(index: int) -> torch.Tensor:
    """All 19 classes, in an order of the image's own."""
    return torch.arange(19).roll(index).reshape(1, 19).repeat(2, 1)


def make_writer(
    output_dir: Path | str, encoding: str | None, classes: LabelSpace = CITYSCAPES_19, **how: str
) -> PredictionWriter:
    return PredictionWriter(
        output_dir=str(output_dir),
        dataset_name=DATASET,
        encoding=encoding,
        classes=classes,
        **how,
    )


def save(output_dir: Path, encoding: str, indices: list[int]) -> None:
    writer = make_writer(output_dir, encoding)
    writer.reset()
    for k in indices:
        writer.process([{"file_name": FILES[k]}], [{"sem_seg": classes_of(k)}])
    assert writer.evaluate() == {}


def read(output_dir: Path) -> dict[str, np.ndarray]:
    root = output_dir / DATASET
    return {
        str(path.relative_to(root)): np.asarray(Image.open(path))
        for path in root.rglob("*")
        if path.is_file()
    }


def test_label_ids_are_those_that_the_benchmark_decodes(tmp_path: Path) -> None:
    save(tmp_path, "label_ids", [0, 1, 2, 3])
    for k, name in enumerate(FILES):
        path = tmp_path / DATASET / Path(name).parent.name / f"{Path(name).stem}.png"
        image = Image.open(path)
        assert image.mode == "L"
        assert CITYSCAPES_LABEL_IDS.decode(np.asarray(image)).tolist() == classes_of(k).tolist()


def test_train_ids_and_colours(tmp_path: Path) -> None:
    save(tmp_path / "a", "train_ids", [1])
    (train_ids,) = read(tmp_path / "a").values()
    assert train_ids.dtype == np.uint8
    assert train_ids.tolist() == classes_of(1).tolist()
    save(tmp_path / "b", "color", [1])
    (colors,) = read(tmp_path / "b").values()
    assert colors.tolist() == [[list(CITYSCAPES_19.colors[c]) for c in r] for r in train_ids]


def test_logits_are_saved_as_their_classes(tmp_path: Path) -> None:
    logits = torch.nn.functional.one_hot(classes_of(2), 19).permute(2, 0, 1).float()
    writer = make_writer(tmp_path, "train_ids")
    writer.process([{"file_name": FILES[0]}], [{"sem_seg": logits}])
    (saved,) = read(tmp_path).values()
    assert saved.tolist() == classes_of(2).tolist()


def test_names_are_the_images_own_in_their_folders_one_file_each(tmp_path: Path) -> None:
    save(tmp_path, "label_ids", [0, 1, 2, 3])
    save(tmp_path, "label_ids", [3])  # again: replaced, nothing temporary stays
    names = sorted(read(tmp_path))
    assert names == [
        "bonn/bonn_000000_000019_leftImg8bit.png",
        "bonn/same.png",
        "ulm/same.png",
        "ulm/ulm_000000_000019_leftImg8bit.png",
    ]
    # The test server walks all folders for exactly one file of this pattern.
    found = [name for name in names if fnmatch.fnmatch(Path(name).name, "ulm_000000_000019*.png")]
    assert len(found) == 1


def test_conditions_with_equal_sequences_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"rgb_anon/{c}/val/GOPR1/GOPR1_frame_000001_rgb_anon.png" for c in ("fog", "night")]
    monkeypatch.setattr(sys.modules[__name__], "FILES", names)
    save(tmp_path, "train_ids", [0, 1])
    assert sorted(read(tmp_path)) == [name.removeprefix("rgb_anon/") for name in names]


@pytest.mark.parametrize("encoding", ["trainids", "labelIds", ""])
def test_unknown_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(LangDGError, match=r"expected one of \['train_ids', 'label_ids', 'color'\]"):
        make_writer("x", encoding)


def test_foreign_images_and_classes_are_refused(tmp_path: Path) -> None:
    writer = make_writer(tmp_path, "label_ids")
    good = {"sem_seg": classes_of(0)}
    with pytest.raises(LangDGError, match="'/other/a.png' is not below '/data/leftImg8bit/val'"):
        writer.process([{"file_name": "/other/a.png"}], [good])
    for classes in (torch.full((2, 2), 19), torch.full((2, 2), -1), torch.full((2, 2), 255)):
        with pytest.raises(LangDGError, match=r"ulm_000000.*expected 0\.\.18"):
            writer.process([{"file_name": FILES[0]}], [{"sem_seg": classes}])
    assert list(tmp_path.iterdir()) == []


def test_two_processes_write_every_file_once(
    in_two_processes: Callable[..., None], tmp_path: Path
) -> None:
    in_two_processes(save_share, output_dir=str(tmp_path / "two"))
    save(tmp_path / "one", "label_ids", [0, 1, 2, 3])
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert one.keys() == two.keys()
    assert all((one[name] == two[name]).all() for name in one)
    shares = [json.loads(path.read_text()) for path in (tmp_path / "two").glob("*.json")]
    assert sorted(k for share in shares for k in share) == [0, 1, 2, 3]
    assert all(shares)


def save_share(args: Namespace) -> None:
    """What one of the processes does: the images that Detectron2's sampler gives it."""
    DatasetCatalog.register(DATASET, lambda: [{"file_name": name} for name in FILES])
    share = list(InferenceSampler(len(FILES)))
    save(Path(args.output_dir), "label_ids", share)
    (Path(args.output_dir) / f"{os.getpid()}.json").write_text(json.dumps(share))


def test_own_classes_are_written_with_their_own_numbers_and_colours(tmp_path: Path) -> None:
    own = LabelSpace(["a", "b", "c"], ids=[200, 7, 255])
    for encoding in ("label_ids", "color"):
        writer = make_writer(tmp_path / encoding, encoding, own)
        writer.process([{"file_name": FILES[0]}], [{"sem_seg": torch.tensor([[0, 1, 2]])}])
    (ids,), (colors,) = (read(tmp_path / name).values() for name in ("label_ids", "color"))
    assert ids.tolist() == [[200, 7, 255]]
    assert [tuple(color) for color in colors[0].tolist()] == list(own.colors)


@pytest.mark.parametrize(
    ("ids", "message"), [(None, "classes have no .label_ids."), ([3, 256], "the id 256")]
)
def test_label_ids_that_no_file_holds_are_refused(ids: list[int] | None, message: str) -> None:
    with pytest.raises(LangDGError, match=rf"{message}.*model\.classes\.ids.*'train_ids'"):
        make_writer("x", "label_ids", LabelSpace(["a", "b"], ids=ids))


def test_logits_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    logits = torch.full((19, 2, 2), float("nan"))
    with pytest.raises(LangDGError, match=r"ulm_000000_000019_leftImg8bit\.png: .*not finite"):
        make_writer(tmp_path, "train_ids").process([{"file_name": FILES[0]}], [{"sem_seg": logits}])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_written_as_it_lies_and_no_file_twice(tmp_path: Path) -> None:
    writer = make_writer(tmp_path, "train_ids", root="/pictures")
    for name in ("/pictures/a/x.jpg", "/pictures/x.jpg"):
        writer.process([{"file_name": name}], [{"sem_seg": classes_of(0)}])
    assert sorted(read(tmp_path)) == ["a/x.png", "x.png"]
    with pytest.raises(
        LangDGError, match=r"'/pictures/x\.bmp' and '/pictures/x\.jpg' have the same"
    ):
        writer.process([{"file_name": "/pictures/x.bmp"}], [{"sem_seg": classes_of(0)}])


def test_one_line_says_what_was_written_and_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        save(tmp_path, "label_ids", [0, 1])
    assert caplog.messages == [f"{DATASET}: 2 predictions as 'label_ids' in '{tmp_path}/{DATASET}'"]


def test_files_of_earlier_evaluations_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for indices in ([0, 1], [1], [0, 1]):
        writer = make_writer(tmp_path, "train_ids")
        writer.reset()
        for k in indices:
            writer.process([{"file_name": FILES[k]}], [{"sem_seg": classes_of(k)}])
        writer.evaluate()
    assert caplog.text.count("also has files of earlier evaluations (1, such as 'ulm_000000") == 1
