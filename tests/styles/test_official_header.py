"""What banks of the official release belong to."""

import pickle
from pathlib import Path

import pytest
import torch

from langdg_d2.modeling import ClipResNet
from langdg_d2.styles.bank import StyleBankError
from langdg_d2.styles.official_bank import official_header, read_official_bank


def test_header_tells_the_clip_of_the_styles(tiny_tower: torch.nn.Module, tmp_path: Path) -> None:
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=("layer4.2",))
    given = {"clip_name": "some/tiny.json", "source": "gta5", "imported_from": "b.pkl"}
    header = official_header(backbone=backbone, **given)
    assert (header.clip_name, header.layer, header.grid) == ("tiny", "layer1", (3, 3))
    assert header.settings == {"imported_from": "b.pkl"}
    both = official_header(backbone=backbone, **given | {"source": ["gta5", "synthia"]})
    assert both.source == "gta5 + synthia"
    zeros = torch.zeros(header.channels, 1, 1)
    path = tmp_path / "b.pkl"
    path.write_bytes(pickle.dumps({"road_mu": [zeros], "road_std": [zeros]}))
    read_official_bank(path, header=header).check(backbone)
    with torch.no_grad():
        backbone.tower.conv1.weight.add_(1)
    with pytest.raises(StyleBankError, match="clip_fingerprint"):
        read_official_bank(path, header=header).check(backbone)


def test_a_model_that_restyles_another_layer_has_no_use_for_official_banks(
    tiny_tower: torch.nn.Module,
) -> None:
    backbone = ClipResNet(tower=tiny_tower, output_stride=16, trainable=(), restyled_layer="layer2")
    with pytest.raises(StyleBankError, match=r"restyles 'layer2'; use a config with model\.back"):
        official_header(backbone=backbone, clip_name="RN50", source="gta5", imported_from="b.pkl")
