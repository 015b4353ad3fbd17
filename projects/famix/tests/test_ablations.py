"""Every ablation differs from the main config in one thing, and that thing is what it says."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.data import DatasetCatalog
from omegaconf import OmegaConf
from torch import nn

from langdg_d2.evaluation import build_inference, inference_name, published_figures, published_names
from langdg_d2.modeling import LangDGSegmentor
from langdg_d2.structures import CITYSCAPES_19, PatchGrid
from langdg_d2.styles import StyleBank, load_style_prompts

ROOT = Path(__file__).parents[3]
CONFIGS = {path.stem: path for path in (ROOT / "projects/famix/configs/ablations").glob("*.py")}
CLASSES = CITYSCAPES_19.names
ART = load_style_prompts("art_styles")

# What an ablation changes, beside its output folder.
TRAINABLE = "model.backbone.trainable"
WEIGHTS = "styles.augmentation.mixer.weights"
SOURCE = "styles.augmentation.mixer.styles"
PROMPTS = "styles.mining.miner.prompts"
NO_STYLES = {"styles.bank", "styles.augmentation"}
OWN_STATISTICS = {"styles.mining.miner.pin.steps"}
CHANGES = {
    "class_agnostic_bank": {SOURCE},
    "class_name_only": {f"{PROMPTS}.template"},
    "driving_prompts": {f"{PROMPTS}.style_prompts"},
    "freeze_less": {TRAINABLE},
    "freeze_more": {TRAINABLE},
    "freeze_nothing": {TRAINABLE},
    "freeze_nothing_no_mixing": {TRAINABLE, WEIGHTS},
    "freeze_nothing_no_restyling": {TRAINABLE, *NO_STYLES},
    "freeze_nothing_source_styles": {TRAINABLE, *OWN_STATISTICS},
    "no_mixing": {WEIGHTS},
    "no_restyling": NO_STYLES,
    "noise_styles": {"styles.bank", SOURCE},
    "random_character_prompts": {f"{PROMPTS}.style_prompts"},
    "random_characters_only": {f"{PROMPTS}.style_prompts", f"{PROMPTS}.template"},
    "restyle_layer2": {"model.backbone.restyled_layer"},
    "restyle_layer3": {"model.backbone.restyled_layer"},
    "restyle_stem": {"model.backbone.restyled_layer"},
    "source_and_mined_styles": {"styles.mine_if_missing"},
    "source_styles": OWN_STATISTICS,
    "style_only": {f"{PROMPTS}.template"},
    "whole_image_styles": {"styles.grid.rows", "styles.grid.cols"},
}


@cache
def plain(path: Path) -> dict[str, Any]:
    """For reading only."""
    keys = ("dataloader", "evaluation", "lr_scheduler", "model", "optimizer", "styles", "train")
    parts = zip(keys, LazyConfig.load(str(path), keys), strict=True)
    return {key: OmegaConf.to_container(part, resolve=False) for key, part in parts}


def differences(first: Any, second: Any, name: str = "") -> Iterator[str]:
    """Keys with other values; a call of something else is one difference, whatever it takes."""
    both = isinstance(first, dict) and isinstance(second, dict)
    if both and first.get("_target_") == second.get("_target_"):
        for key in first.keys() | second.keys():
            yield from differences(first.get(key), second.get(key), f"{name}.{key}".strip("."))
    elif first != second:
        yield name


@pytest.fixture(scope="module")
def main_config():
    return plain(ROOT / "projects/famix/configs/gta5_rn50.py")


def mine(cfg) -> StyleBank:
    instantiate(cfg.styles.mining).run()
    return StyleBank.load(cfg.styles.bank)


def training_loss(cfg) -> tuple[LangDGSegmentor, torch.Tensor]:
    """The config's model and its loss of two source images, restyled as the config says."""
    torch.manual_seed(0)
    np.random.seed(0)
    model = instantiate(cfg.model)
    mapper = instantiate(cfg.dataloader.train.mapper)
    batch = [mapper(record) for record in DatasetCatalog.get("gta5_sem_seg_train")[:2]]
    if cfg.styles.augmentation:
        model.feature_augmentation = instantiate(cfg.styles.augmentation.mixer)
        model.feature_augmentation.prepare(model.backbone)
    return model, model.train().losses(batch)["loss_sem_seg"]


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() | CHANGES.keys()))
def test_ablation_changes_the_main_config_in_the_stated_keys_only(name, main_config):
    ablation = plain(CONFIGS[name])
    named = {"train.output_dir", "evaluation.published"}
    assert set(differences(main_config, ablation)) == {*named, *CHANGES[name]}
    assert ablation["train"]["output_dir"] == f"output/famix/{name}"
    row = f"famix_rn50_gta5_{name}"
    assert ablation["evaluation"]["published"] == (row if row in published_names() else None)


def test_readme_configs_and_published_rows_match():
    folder = ROOT / "projects/famix"
    listed = re.findall(r"\((configs/[\w/]+\.py)\)", (folder / "README.md").read_text())
    files = sorted(str(path.relative_to(folder)) for path in folder.glob("configs/**/*.py"))
    assert sorted(listed) == files
    rows = [plain(folder / file)["evaluation"]["published"] for file in files]
    assert sorted(filter(None, rows)) == sorted(published_names())


@pytest.mark.parametrize("path", sorted(ROOT.glob("projects/famix/configs/release/*.py")), ids=str)
def test_release_rows_are_measured_as_the_authors_did(path):
    backbone, scales = path.stem.split("_", 1)
    cfg = plain(path)
    published = published_figures(cfg["evaluation"]["published"])
    assert published.name.split("_gta5_")[1].replace(".", "_") == scales
    assert backbone in published.name
    assert cfg["model"]["backbone"]["tower"]["name"] == f"{backbone.upper()}-quickgelu"
    assert cfg["evaluation"]["protocol"] == published.protocol
    assert cfg["evaluation"]["source"] == published.source
    assert cfg["evaluation"]["domains"] == list(published.targets)
    inference = inference_name(build_inference(nn.Identity(), **cfg["evaluation"]["inference"]))
    assert inference == published.inference


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("main", r"layer4\.2"),
        ("freeze_more", "nothing"),
        ("freeze_less", r"layer4\.\d"),
        ("freeze_nothing", r"stem|layer\d\.\d"),
    ],
)
def test_gradients_and_batch_statistics_reach_the_trainable_layers_only(small, name, pattern):
    cfg = small(name)
    cfg.styles.augmentation = None
    model, loss = training_loss(cfg)
    loss.backward()
    for group, modules in model.backbone.layer_groups().items():
        trains = re.fullmatch(pattern, group) is not None
        for parameter in (p for module in modules for p in module.parameters()):
            assert (parameter.grad is not None) == trains, group
        norms = [m for top in modules for m in top.modules() if hasattr(m, "running_mean")]
        assert {norm.training for norm in norms} == {trains}, group
    if name == "freeze_nothing":
        assert model.backbone.tower.conv1.weight.grad.abs().sum() > 0


def test_no_mixing_replaces_the_patch_style(small):
    main, without = small("main"), small("no_mixing")
    main.styles.mining.miner.pin.steps = 1
    mine(main)
    without.styles.bank = main.styles.bank
    shares = []
    for cfg in (main, without):
        found = training_loss(cfg)[0].feature_augmentation.shares
        assert found["restyled_share"] == 1
        shares.append(found["mean_weight"])
    assert 0.2 < shares[0] < 0.8
    assert shares[1] == 0


def test_source_styles_merge_with_mined_styles(small):
    own, main, both = (small(name) for name in ("source_styles", "main", "source_and_mined_styles"))
    main.styles.mining.miner.pin.steps = 1
    source, mined = mine(own), mine(main)
    assert torch.equal(source.cosine_before, source.cosine_after)
    assert (mined.cosine_before != mined.cosine_after).all()
    # The same patches: mining started from what the other bank keeps.
    assert torch.equal(source.cosine_before, mined.cosine_before)
    assert not torch.allclose(source.mean, mined.mean)

    StyleBank.merge([source, mined]).save(both.styles.bank)
    model, loss = training_loss(both)
    assert loss.isfinite()
    assert len(model.feature_augmentation.styles.bank) == 2 * len(source)


def test_noise_and_no_restyling_need_no_bank(small, tmp_path):
    without = small("no_restyling")
    noise, gentle = small("noise_styles"), small("noise_styles")
    gentle.styles.augmentation.mixer.styles.snr_db = 200.0
    bare, loud, soft = (training_loss(cfg)[1].item() for cfg in (without, noise, gentle))
    assert abs(soft - bare) < 1e-5 < abs(loud - bare)
    assert without.styles.augmentation is None
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("main", {f"{style} {name}" for style in ART for name in CLASSES}),
        ("class_name_only", set(CLASSES)),
        ("style_only", set(ART)),
        (
            "driving_prompts",
            {f"{s} {name}" for s in load_style_prompts("driving_conditions") for name in CLASSES},
        ),
    ],
)
def test_target_texts_are_those_of_the_prompts(small, name, texts):
    assert set(instantiate(small(name).styles.mining.miner.prompts).all()) == {*texts, "photo"}


def test_random_character_prompts_follow_the_seed(small):
    def words(name, seed):
        cfg = small(name)
        cfg.styles.seed = seed
        return {text.split(" ")[0] for text in instantiate(cfg.styles.mining.miner.prompts).all()}

    alone = instantiate(small("random_characters_only").styles.mining.miner.prompts).all()
    with_class = instantiate(small("random_character_prompts").styles.mining.miner.prompts).all()
    assert len(alone) == 20 + 1
    assert all(re.fullmatch("[a-z]{8}|photo", text) for text in alone)
    assert with_class == [f"{w} {name}" for name in CLASSES for w in alone[:-1]] + ["photo"]
    assert words("random_character_prompts", 1) == set(alone)
    assert words("random_character_prompts", 2) & set(alone) == {"photo"}


def test_whole_image_styles_use_one_patch(small):
    cfg = small("whole_image_styles")
    cfg.styles.mining.miner.pin.steps = 1
    bank = mine(cfg)
    assert bank.header.grid == (1, 1)
    record = DatasetCatalog.get("gta5_sem_seg_train")[0]
    example = instantiate(cfg.dataloader.train.mapper)(record)
    assert torch.equal(example["patch_classes"], PatchGrid(1, 1).majority(example["sem_seg"]))
    model, loss = training_loss(cfg)
    assert loss.isfinite()
    assert model.feature_augmentation.last.patch_classes.shape == (2, 1, 1)


def test_class_agnostic_bank_mixes_classes(small):
    cfg = small("class_agnostic_bank")
    cfg.styles.mining.miner.pin.steps = 0
    bank = mine(cfg)
    styles = instantiate(cfg.styles.augmentation.mixer.styles)
    styles.prepare(instantiate(cfg.model).backbone)
    one_class = torch.full((40, 3, 3), int(bank.class_id[0]), dtype=torch.uint8)
    drawn, _ = styles.draw(None, one_class, generator=torch.Generator().manual_seed(0))
    distance = torch.cdist(drawn.mean.permute(0, 2, 3, 1).flatten(0, 2), bank.mean)
    assert set(bank.class_id[distance.argmin(1)].tolist()) == set(bank.class_id.tolist())


@pytest.mark.parametrize(
    ("layer", "feature", "channels"),
    [("stem", "stem", 4), ("layer2", "res3", 32), ("layer3", "res4", 64)],
)
def test_another_layer_is_mined_and_restyled(small, layer, feature, channels):
    cfg = small(f"restyle_{layer}")
    cfg.styles.mining.miner.pin.steps = 1
    header = mine(cfg).header
    assert (header.layer, header.channels) == (layer, channels)
    model, loss = training_loss(cfg)
    assert model.backbone.restyled == feature
    assert loss.isfinite()
    assert model.feature_augmentation.shares["restyled_share"] == 1
