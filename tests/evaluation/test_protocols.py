"""Test protocols: sizes and padding at the real resolutions, images left out, names."""

from pathlib import Path

import numpy as np
import pytest
from detectron2.config import LazyCall as L
from detectron2.config import instantiate
from detectron2.data import DatasetCatalog
from detectron2.data import transforms as T
from omegaconf import OmegaConf
from PIL import Image

from langdg_d2.data import TestMapper
from langdg_d2.data.corruptions import Corruption
from langdg_d2.evaluation import protocol_augmentations, protocol_dataset, protocol_name
from langdg_d2.evaluation.protocols import PROTOCOLS, protocol_table
from langdg_d2.utils.errors import LangDGError

ROAD, IGNORE, SKY = 0, 255, 10


def framed(protocol: str, domain: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A white image of sky as the protocol cuts it."""
    inputs = T.AugInput(np.full((*size, 3), 255, np.uint8), sem_seg=np.full(size, SKY, np.uint8))
    T.AugmentationList(protocol_augmentations(protocol, domain))(inputs)
    return inputs.image, inputs.sem_seg


@pytest.mark.parametrize("domain", ["mapillary", "mapillary_b"])
@pytest.mark.parametrize(
    ("size", "padded"),
    [
        ((768, 1024), 0),
        ((1799, 2401), 0),
        ((1536, 1536), 0),
        # Columns before the photo: 1.5 times those missing of 1536.
        ((1024, 768), 576),  # 1152 wide after the resize
        ((1280, 720), 1008),  # 864
        ((999, 997), 6),  # 1532
    ],
)
def test_famix_scores_squares_of_mapillary_with_padding_as_road(domain, size, padded):
    image, label = framed("famix", domain, size)
    assert image.shape == (1536, 1536, 3)
    assert (image[:, :padded] == 0).all()
    assert (label[:, :padded] == ROAD).all()
    assert (image[:, padded:] == 255).all()
    assert (label[:, padded:] == SKY).all()


@pytest.mark.parametrize("size", [(1052, 1914), (1046, 1914)])
def test_famix_scores_one_frame_size_of_gta5(size):
    image, label = framed("famix", "gta5", size)
    assert image.shape == (1046, 1914, 3)
    assert (label == SKY).all()


def test_famix_crops_gta5_at_the_centre():
    rows = np.arange(1052)[:, None] % 251
    label = np.broadcast_to(rows, (1052, 1914)).astype(np.uint8)
    inputs = T.AugInput(np.stack([label] * 3, -1), sem_seg=label)
    T.AugmentationList(protocol_augmentations("famix", "gta5"))(inputs)
    assert (inputs.sem_seg == label[3:-3]).all()
    assert (inputs.image == label[3:-3, :, None]).all()


def test_famix_ignores_what_a_small_gta5_image_lacks():
    _, label = framed("famix", "gta5", (1000, 1900))
    assert np.unique(label).tolist() == [SKY, IGNORE]
    assert (label == SKY).sum() == 1000 * 1900


@pytest.mark.parametrize("domain", ["cityscapes", "bdd100k", "synthia", "acdc_night", "own"])
def test_everything_else_stays_whole(domain):
    for protocol in PROTOCOLS:
        assert protocol_augmentations(protocol, domain) == []


@pytest.mark.parametrize("domain", ["gta5", "mapillary", "acdc_fog", "cityscapes"])
def test_full_changes_nothing(domain):
    assert protocol_augmentations("full", domain) == []


@pytest.fixture
def fog(tmp_path: Path):
    """Registered name of six images, of which every other one is 1080x1920; headers only."""
    records = []
    for k in range(6):
        path = tmp_path / f"{k}.png"
        Image.new("RGB", (1920, 1080) if k % 2 else (2048, 1024)).save(path)
        path.write_bytes(path.read_bytes()[:64])
        records.append({"file_name": str(path), "sem_seg_file_name": "", "image_id": str(k)})
    DatasetCatalog.register("protocol_test_fog", lambda: records)
    yield "protocol_test_fog"
    DatasetCatalog.remove("protocol_test_fog")


@pytest.mark.parametrize("domain", ["acdc_fog", "acdc"])
def test_famix_keeps_fog_of_one_size_by_reading_headers(fog, domain):
    kept = protocol_dataset(fog, "famix", domain)
    assert [record["image_id"] for record in kept] == ["1", "3", "5"]


def test_all_images_are_kept_where_the_protocol_says_nothing_of_sizes(fog):
    assert len(protocol_dataset(fog, "full", "acdc_fog")) == 6
    assert len(protocol_dataset(fog, "famix", "acdc_night")) == 6


def test_a_data_set_of_which_nothing_is_left_is_an_error(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "small.png")
    record = {"file_name": str(tmp_path / "small.png")}
    DatasetCatalog.register("protocol_test_small", lambda: [record])
    try:
        with pytest.raises(LangDGError, match="1080x1920 .*none of its 1 .*use protocol 'full'"):
            protocol_dataset("protocol_test_small", "famix", "acdc_fog")
    finally:
        DatasetCatalog.remove("protocol_test_small")


def test_an_unknown_protocol_is_refused_with_the_presets(fog):
    with pytest.raises(LangDGError, match=r"'fammix' is unknown; .*'full' \(.*'famix' \("):
        protocol_augmentations("fammix", "gta5")
    with pytest.raises(LangDGError, match="'Full' is unknown"):
        protocol_dataset(fog, "Full", "gta5")


def test_a_config_chooses_the_protocol_when_it_is_instantiated():
    mapper = L(TestMapper)(
        augmentations=L(protocol_augmentations)(
            protocol="${evaluation.protocol}", domain="mapillary"
        )
    )
    config = OmegaConf.create(
        {"evaluation": {"protocol": "full"}, "mapper": mapper}, flags={"allow_objects": True}
    )
    assert instantiate(config.mapper).augmentations.augs == []
    config.evaluation.protocol = "famix"
    assert len(instantiate(config.mapper).augmentations.augs) == 2


def test_the_documentation_has_the_table_of_the_presets():
    text = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
    assert protocol_table() in text
    for name in PROTOCOLS:
        assert f"`{name}`" in protocol_table()


def test_corruption_acts_on_the_image_as_it_is_on_disk_before_the_protocol_frames_it():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    label = np.zeros((20, 30), np.uint8)
    inputs = T.AugInput(image, sem_seg=label)
    augmentations = protocol_augmentations("famix", "mapillary", "contrast", 5)
    T.AugmentationList(augmentations)(inputs)
    by_hand = T.AugInput(image, sem_seg=label)
    T.AugmentationList([Corruption(name="contrast", severity=5)])(by_hand)
    T.AugmentationList(protocol_augmentations("famix", "mapillary"))(by_hand)
    np.testing.assert_array_equal(inputs.image, by_hand.image)
    assert inputs.image.std() < image.std()


def test_name_of_a_protocol_tells_the_corruption():
    assert protocol_name("full", name=None, severity=3) == "full"
    assert protocol_name("full", name="contrast", severity=3) == "full, contrast 3"
    with pytest.raises(LangDGError, match="corruption 'fog' is unknown"):
        protocol_augmentations("full", "gta5", "fog")
