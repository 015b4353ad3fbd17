"""The common configuration of styles: a bank that another config has mined is told from its own."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from langdg_d2.engine import apply_overrides

ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(datasets, tiny_clip, tmp_path, monkeypatch):
    """Function that loads the main config on a tiny CLIP, with further overrides."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    small = [
        f"train.output_dir={tmp_path}",
        "train.device=cpu",
        f"model.backbone.tower.name={tiny_clip}",
        "model.backbone.tower.weights=null",
        "dataloader.crop_size=[40,60]",
        "styles.mining.batches.batch_size=2",
        "styles.mining.num_workers=0",
        "styles.mining.miner.pin.steps=1",
    ]
    config = str(ROOT / "configs/langdg_gta5.py")
    return lambda *overrides: apply_overrides(LazyConfig.load(config), [*small, *overrides])


def test_training_names_differing_mining_settings(load, caplog):
    cfg = load()
    torch.manual_seed(0)
    backbone = instantiate(cfg.model.backbone)
    styles = instantiate(cfg.styles.augmentation.mixer.styles)  # before the bank is there
    torch.manual_seed(0)
    instantiate(cfg.styles.mining).run()
    caplog.clear()
    styles.prepare(backbone)
    assert len(styles.bank)
    assert caplog.text == ""

    other = load("styles.mining.miner.pin.steps=2", "styles.seed=3", "dataloader.crop_size=[40,56]")
    again = instantiate(other.styles.augmentation.mixer.styles)
    again.prepare(backbone)
    assert len(again.bank) == len(styles.bank)
    (record,) = caplog.records  # loading a CLIP would give another
    assert record.getMessage().splitlines()[1:] == [
        "- seed: the bank has 1, this config 3",
        "- settings.mapper.augmentations: the bank has [{'crop_size': [40, 60], '_target_': "
        "'langdg_d2.data.transforms.RandomCrop'}], this config [{'crop_size': [40, 56], "
        "'_target_': 'langdg_d2.data.transforms.RandomCrop'}]",
        "- settings.pin.steps: the bank has 1, this config 2",
    ]
