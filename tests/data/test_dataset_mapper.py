"""Mappers keep image and label together and say what is wrong with a pair."""

import numpy as np
import pytest
import torch
from detectron2.data import transforms as T
from PIL import Image

from langdg_d2.data import ImageFileError, RandomCrop, TestMapper, TrainMapper


@pytest.fixture
def record(tmp_path) -> dict:
    """A pair whose red channel repeats the label."""
    label = np.random.default_rng(0).integers(0, 19, (40, 60)).astype(np.uint8)
    image = np.stack([label, np.full_like(label, 9), np.full_like(label, 200)], axis=-1)
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(label).save(tmp_path / "label.png")
    return {
        "file_name": str(tmp_path / "image.png"),
        "sem_seg_file_name": str(tmp_path / "label.png"),
        "label_encoding": "train ids",
        "image_id": "image",
    }


def test_training_crops_and_flips_image_and_label_alike(record):
    mapper = TrainMapper(augmentations=[RandomCrop(crop_size=(24, 32)), T.RandomFlip(prob=0.5)])
    before = dict(record)
    outputs = [mapper(record) for _ in range(20)]
    for output in outputs:
        assert output["image"].shape == (3, 24, 32)
        assert output["image"].dtype == output["sem_seg"].dtype == torch.uint8
        assert torch.equal(output["image"][0], output["sem_seg"])
        assert (output["image"][2] == 200).all()  # RGB order
    assert any(not torch.equal(o["sem_seg"], outputs[0]["sem_seg"]) for o in outputs[1:])
    assert record == before


def test_test_mapper_gives_the_whole_pair_and_its_size(record):
    output = TestMapper()(record)
    label = np.array(Image.open(record["sem_seg_file_name"]))
    assert (output["height"], output["width"]) == (40, 60)
    assert (output["sem_seg"].numpy() == label).all()
    assert (output["image"].permute(1, 2, 0).numpy()[..., 0] == label).all()
    assert output["image_id"] == "image"


@pytest.mark.parametrize("mapper", [TestMapper(), TrainMapper(augmentations=[])])
def test_pair_of_two_sizes_is_refused_naming_both_files(record, mapper):
    Image.fromarray(np.zeros((40, 59), np.uint8)).save(record["sem_seg_file_name"])
    with pytest.raises(ImageFileError, match=r"image\.png' is 40x60 .*label\.png' is 40x59"):
        mapper(record)


def test_image_smaller_than_the_crop_is_refused_naming_both_sizes_and_the_file(record):
    mapper = TrainMapper(augmentations=[RandomCrop(crop_size=(41, 60))])
    with pytest.raises(ImageFileError, match=r"image\.png': the image is 40x60 .* to 41x60"):
        mapper(record)
