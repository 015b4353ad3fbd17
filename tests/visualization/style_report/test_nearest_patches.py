"""The nearest patches against a search through all of them at once."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from langdg_d2.modeling import ClipResNet, PixelNormalization
from langdg_d2.structures import PatchGrid
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization.style_report import NearestPatches, PatchReader

SIZE = (44, 60)  # features of 11 x 15, which two rows do not divide
GRID = PatchGrid(2, 3)
CELLS = 6
SIDE = 15  # pictures of 22 x 20 are shrunk


@pytest.fixture
def backbone(tiny_tower):
    return ClipResNet(tower=tiny_tower.eval(), output_stride=16, trainable=())


@pytest.fixture
def reader(backbone):
    normalize = PixelNormalization(mean=(120.0, 110.0, 100.0), std=(60.0, 60.0, 60.0))
    return PatchReader(backbone=backbone, grid=GRID, normalize=normalize, device="cpu")


def batches(count=3, images=2):
    """Images of several contrasts, labels in blocks of a cell each."""
    result = []
    for number in range(count * images):
        values = torch.randn(3, *SIZE) * (10 + 10 * number) + 128
        blocks = torch.randint(0, 3, (1, 1, 2, 3)).float()
        labels = torch.nn.functional.interpolate(blocks, size=SIZE)[0, 0].byte()
        image = values.clamp(0, 255).byte()
        name = f"/data/{number}.png"
        result.append({"image": image, "sem_seg": labels, "file_name": name})
    return [result[k : k + images] for k in range(0, len(result), images)]


def every_patch(backbone, examples):
    """Statistics, class, image and pixels of all patches, by loops."""
    patches = []
    for example in examples:
        image = example["image"].float()
        pixels = (image - torch.tensor([120.0, 110, 100])[:, None, None]) / 60
        with torch.no_grad():
            features = backbone.forward_low(pixels[None])["res2"][0]
        for row in range(2):
            for col in range(3):
                # Rows of 5 and 6, of which mining uses 5.
                cell = features[:, [0, 5][row] : [5, 10][row], 5 * col : 5 * col + 5].flatten(1)
                point = torch.cat([cell.mean(dim=1), (cell.var(dim=1) + 1e-5).sqrt()])
                here = np.s_[..., 22 * row : 22 * row + 22, 20 * col : 20 * col + 20]
                label = int(example["sem_seg"][here].flatten().mode().values)
                patches.append((point, label, Path(example["file_name"]).stem, image[here]))
    return patches


@pytest.mark.parametrize("own_class", [False, True])
def test_streaming_finds_what_a_search_through_all_patches_finds(backbone, reader, own_class):
    given = batches()
    patches = every_patch(backbone, [example for batch in given for example in batch])
    styles = torch.stack([patches[5][0], patches[20][0] + 0.1, torch.zeros(32)])
    class_ids = torch.tensor([0, 1, 2], dtype=torch.uint8)
    nearest = NearestPatches(
        styles=styles,
        class_ids=class_ids if own_class else None,
        reader=reader,
        count=4,
        side=SIDE,
    )
    for batch in given:
        nearest.add(batch)
    for style, wanted, found in zip(styles, class_ids, nearest.result(), strict=True):
        ordered = sorted(
            (float((style - point).norm()), number)
            for number, (point, label, _, _) in enumerate(patches)
            if not own_class or label == wanted
        )
        assert found.compared == len(ordered)
        assert found.mean_distance == pytest.approx(np.mean([d for d, _ in ordered]), rel=1e-4)
        assert len(found.patches) == min(4, len(ordered))
        for patch, (distance, number) in zip(found.patches, ordered, strict=False):
            _, label, name, pixels = patches[number]
            assert patch.distance == pytest.approx(distance, rel=1e-4, abs=1e-4)
            assert (patch.class_id, patch.image_name) == (label, name)
            small = cv2.resize(
                pixels.permute(1, 2, 0).byte().numpy(), (14, 15), interpolation=cv2.INTER_AREA
            )
            assert np.array_equal(patch.picture, small)


def test_of_equal_patches_the_earlier_ones_are_kept(reader):
    (example, *_), *_ = batches()
    nearest = NearestPatches(
        styles=torch.zeros(1, 32), class_ids=None, reader=reader, count=CELLS + 1, side=500
    )
    for number in range(3):
        nearest.add([example | {"file_name": f"{number}.png"}])
    (found,) = nearest.result()
    assert found.compared == 3 * CELLS
    names = [patch.image_name for patch in found.patches]
    # Every patch is there three times, the first image's before the second's.
    assert names == ["0", "1", "2", "0", "1", "2", "0"]
    assert found.patches[0].picture.shape == (22, 20, 3)


def test_memory_holds_only_the_pictures_that_are_kept(reader):
    nearest = NearestPatches(
        styles=torch.zeros(1, 32), class_ids=None, reader=reader, count=2, side=500
    )
    for batch in batches(count=4):
        nearest.add(batch)
        assert len(nearest._kept) == 2
        assert all(picture.base is None for _, _, picture in nearest._kept.values())


def test_fewer_patches_than_wanted_and_none_at_all(reader):
    (example, *_), *_ = batches()
    unlabelled = example | {"sem_seg": torch.full(SIZE, 255, dtype=torch.uint8)}
    nearest = NearestPatches(
        styles=torch.zeros(2, 32),
        class_ids=torch.tensor([255, 0], dtype=torch.uint8),
        reader=reader,
        count=9,
        side=SIDE,
    )
    nearest.add([unlabelled])
    some, none = nearest.result()
    assert len(some.patches) == some.compared == CELLS
    assert {patch.class_id for patch in some.patches} == {255}
    assert (none.patches, none.compared) == ([], 0)
    assert math.isnan(none.mean_distance)
    with pytest.raises(LangDGError, match="0 patches of 15 pixels"):
        NearestPatches(styles=torch.zeros(1, 32), class_ids=None, reader=reader, count=0, side=15)
