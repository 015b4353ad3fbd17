"""PØDA's three steps: what the configs say, and that they run after one another."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from omegaconf import OmegaConf

from langdg_d2.engine import apply_overrides
from langdg_d2.modeling import ClipResNet, load_image_tower
from langdg_d2.structures import PatchGrid, patch_stats
from langdg_d2.styles import PinSettings, PromptDrivenNormalization, StyleBank

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "projects/poda/configs"
PROMPTS = {
    "night": "driving at night",
    "rain": "driving under rain",
    "snow": "driving in snow",
    "fog": "driving in fog",
}


def load(name, *overrides):
    return apply_overrides(LazyConfig.load(str(CONFIGS / f"{name}.py")), list(overrides))


def texts(cfg) -> list[str]:
    return instantiate(cfg.styles.mining.miner.prompts).all()


@pytest.fixture
def train(datasets, tiny_model, load_tool, tmp_path, monkeypatch, _no_report):
    """Function that trains a config for two steps; returns its final weights."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    tool = load_tool("train_net")

    def run(name, *overrides):
        opts = [
            f"train.output_dir={tmp_path / name}",
            *tiny_model,
            "model.backbone.tower.weights=null",
            "dataloader.train.total_batch_size=2",
            "dataloader.train.num_workers=0",
            "dataloader.crop_size=[32,48]",
            "dataloader.test.acdc_night.num_workers=0",
            "evaluation.domains=[acdc_night]",
            "styles.mining.num_workers=0",
            "styles.mining.miner.pin.steps=2",
            "train.max_iter=2",
            *overrides,
        ]
        config_file = str(CONFIGS / f"{name}.py")
        tool.main(
            Namespace(config_file=config_file, opts=opts, num_gpus=0, resume=False, eval_only=False)
        )
        final = tmp_path / name / "model_final.pth"
        return torch.load(final, weights_only=True)["model"]

    return run


@pytest.mark.parametrize("name", PROMPTS)
def test_one_text_describes_the_target(name):
    cfg = load(name)
    assert texts(cfg) == [PROMPTS[name]]
    night = OmegaConf.to_container(load("night"), resolve=False)
    night["train"]["output_dir"] = f"output/poda/{name}"
    night["styles"]["mining"]["miner"]["prompts"]["style_prompts"] = [PROMPTS[name]]
    assert OmegaConf.to_container(cfg, resolve=False) == night


def test_another_target_is_one_key():
    prompt = "styles.mining.miner.prompts.style_prompts"
    assert texts(load("night", f"{prompt}=[driving through fire]")) == ["driving through fire"]


def test_mining_one_image_equals_mining_sixteen(tiny_clip):
    backbone = ClipResNet(
        tower=load_image_tower(name=tiny_clip, weights=None).requires_grad_(False),
        output_stride=32,
        trainable=(),
        attention_pool=True,
    ).eval()
    features = backbone.forward_low(torch.randn(16, 3, 64, 64))["res2"]
    text = torch.nn.functional.normalize(torch.randn(1, 16), dim=1)
    together = PromptDrivenNormalization(backbone=backbone, settings=PinSettings(steps=5))(
        features, text.expand(16, -1)
    )
    settings = instantiate(load("night", "styles.mining.miner.pin.steps=5").styles.mining.miner.pin)
    pin = PromptDrivenNormalization(backbone=backbone, settings=settings)
    alone = [pin(one[None], text) for one in features]
    for k, own in enumerate(patch_stats(features, PatchGrid(1, 1))):
        mined = torch.cat([one.stats[k] for one in alone])
        assert torch.allclose(mined, together.stats[k], atol=1e-6)
        assert (mined - own).abs().mean() > 1e-4


def test_night_trains_only_the_head_on_prompt_styles(train, tiny_clip, tmp_path):
    source = train("source_only")
    assert not list(tmp_path.rglob("style_bank*"))
    start = f"train.init_checkpoint={tmp_path / 'source_only/model_final.pth'}"
    adapted = train("night", start)

    bank = StyleBank.load(tmp_path / "night/style_bank.safetensors")
    assert set(bank.prompts) == {PROMPTS["night"]}
    assert len(bank) == 4  # one of each source image
    assert bank.header.grid == (1, 1)
    assert (bank.cosine_after != bank.cosine_before).all()

    clip = load_image_tower(name=tiny_clip, weights=None).state_dict()
    for key, value in adapted.items():
        if key.startswith("backbone."):
            assert torch.equal(value, clip[key.removeprefix("backbone.tower.")]), key
            assert torch.equal(value, source[key]), key
    moved = {key for key in adapted if not torch.equal(adapted[key], source[key])}
    assert "sem_seg_head.predict.weight" in moved
    assert "acdc_night" in (tmp_path / "night/benchmark.md").read_text()
    # The head went on from the source's: its BatchNorm has seen two batches there and two here.
    assert adapted["sem_seg_head.fuse.1.num_batches_tracked"] == 4
