"""Every config that a user can name loads and resolves; most train."""

import json
import math
from argparse import Namespace
from functools import cache
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from omegaconf import OmegaConf

from langdg_d2.data.sources import joined_names
from langdg_d2.engine import apply_overrides, load_adapter
from langdg_d2.styles import StyleBank
from langdg_d2.visualization import Predictor

ROOT = Path(__file__).parents[2]
# Those in folders below, ablations and the release's, are compared with these by their own tests.
LEAVES = sorted([*ROOT.glob("configs/*.py"), *ROOT.glob("projects/*/configs/*.py")])
ABLATIONS = ROOT / "projects/famix/configs/ablations"
# Ablations differ little: a few stand for all.
TRAINED_SMALL = [
    *(ABLATIONS / f"{name}.py" for name in ("freeze_nothing", "noise_styles", "restyle_layer2")),
    ROOT / "configs/langdg_synthia.py",
]
# Written as YAML and read again: one source and two, on CLIP and on another tower.
SAVED = [
    *(
        ROOT / f"configs/langdg_{name}.py"
        for name in ("gta5", "gta5_synthia", "gta5_dinov2_l_soma")
    ),
    ROOT / "projects/streets/configs/experiment.py",
]
# Without restyling, on tiny transformers.
TRAINED_VIT = [ROOT / f"configs/langdg_gta5_{tower}.py" for tower in ("dinov2_l", "eva02_l")]
ADAPTED = [ROOT / f"configs/langdg_gta5_dinov2_l_{name}.py" for name in ("lora", "rein", "soma")]
ADAPTED += [ROOT / "configs/langdg_gta5_eva02_l_lora.py"]
# On a network of its own; the others on a tiny CLIP.
TRAINED_WHOLE = [ROOT / "projects/streets/configs/experiment.py"]
SMALL_RUN = [
    "model.backbone.tower.weights=null",
    "train.max_iter=2",
    "dataloader.train.total_batch_size=2",
    "dataloader.train.num_workers=0",
    "dataloader.crop_size=[32,48]",
    "styles.mining.batches.batch_size=2",
    "styles.mining.num_workers=0",
    "styles.mining.miner.pin.steps=1",
    "styles.mining.miner.prompts.template='{style}'",
    "evaluation.domains=[acdc_rain]",
    "dataloader.test.acdc_rain.num_workers=0",
]


def parameters(modules):
    return [parameter for module in modules for parameter in module.parameters()]


@cache
def load(leaf: Path):
    """For reading only."""
    return LazyConfig.load(str(leaf))


def small_run(leaf: Path) -> list[str]:
    """`SMALL_RUN`, as far as the config mines styles."""
    return [x for x in SMALL_RUN if load(leaf).styles.mining or not x.startswith("styles.")]


def test_there_are_leaf_configs():
    assert {*TRAINED_WHOLE, *TRAINED_VIT} < set(LEAVES)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.stem)
def test_leaf_config_resolves_with_parts_of_every_domain(leaf):
    cfg = load(leaf)
    OmegaConf.to_container(cfg, resolve=True)
    assert set(cfg.evaluation.domains) <= set(cfg.dataloader.test)
    assert set(cfg.dataloader.test) == set(cfg.dataloader.evaluators)


@pytest.mark.parametrize("leaf", SAVED, ids=lambda leaf: leaf.stem)
def test_a_saved_config_is_read_as_it_was(leaf, tmp_path):
    cfg = load(leaf)
    first, second = tmp_path / "config.yaml", tmp_path / "again.yaml"
    LazyConfig.save(cfg, str(first))
    again = LazyConfig.load(str(first))
    LazyConfig.save(again, str(second))
    assert first.read_text() == second.read_text()
    assert again.model.sem_seg_head.num_classes == cfg.model.sem_seg_head.num_classes


@pytest.fixture
def train(load_tool, datasets, tmp_path, monkeypatch, _no_report):
    """Function that trains a config two steps on the tiny data sets, with further overrides."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    # Not 80 sentences for every prompt: CLIP's text tower is slow on CPUs.
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES[:1]
    monkeypatch.setattr(open_clip, "OPENAI_IMAGENET_TEMPLATES", templates)

    def run(leaf: Path, *overrides: str) -> None:
        arguments = Namespace(
            config_file=str(leaf),
            opts=[*small_run(leaf), f"train.output_dir={tmp_path}", *overrides],
            num_gpus=0,
            resume=False,
            eval_only=False,
        )
        load_tool("train_net").main(arguments)

    return run


@pytest.mark.parametrize(
    "leaf", [*TRAINED_WHOLE, *TRAINED_SMALL, *TRAINED_VIT], ids=lambda leaf: leaf.stem
)
def test_leaf_config_trains_two_steps_and_evaluates(leaf, train, tiny_model, tiny_vit, tmp_path):
    train(leaf, *(tiny_model if leaf in TRAINED_SMALL else tiny_vit.get(leaf.stem, [])))
    state = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert state["iteration"] == 1
    assert all(math.isfinite(t.float().abs().sum()) for t in state["model"].values())
    assert "acdc_rain" in (tmp_path / "benchmark.md").read_text()


@pytest.mark.parametrize("leaf", ADAPTED, ids=lambda leaf: leaf.stem)
def test_adapted_tower_trains_only_adapter_and_head(leaf, train, tiny_vit, tmp_path):
    tower = leaf.stem.rpartition("_")[0]
    changes = [*tiny_vit[tower], "dataloader.train.rare_classes=null"]
    if leaf.stem.endswith("soma"):
        changes.append("model.backbone.adapter.blocks=[2,3,4,5]")
    train(leaf, *changes)
    cfg = apply_overrides(load(leaf), [*small_run(leaf), *changes])
    torch.manual_seed(0)
    before = instantiate(cfg.model).state_dict()
    after = torch.load(tmp_path / "model_final.pth", weights_only=True)["model"]
    shared = {name for name in before if "lora" not in name and "rein" not in name}
    changed = {name for name in shared if not torch.equal(before[name], after[name])}
    assert any("lora" in name or "rein" in name for name in after)
    inside = {name for name in changed if name.startswith("backbone.trunk")}
    assert all(name.endswith(("bias", "start_a", "start_b")) for name in inside)
    assert bool(inside) == leaf.stem.endswith("soma")
    weights = cfg.model.backbone.tower.weights
    model, header = load_adapter(tmp_path / "adapter.safetensors", weights=weights)
    assert header["notes"]["iterations"] == 2
    assert all(torch.equal(value, after[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        found = Predictor.from_pretrained(tmp_path)(np.zeros((32, 48, 3), np.uint8))
    assert found.classes.shape == (32, 48)


def test_convnext_config_mines_trains_and_evaluates(train, tiny_convnext_clip, tmp_path):
    train(
        ROOT / "configs/langdg_gta5_convnext_b.py",
        f"model.backbone.tower.name={tiny_convnext_clip}",
        "dataloader.crop_size=[48,64]",
        *("styles.grid.rows=1", "styles.grid.cols=1"),
        "model.sem_seg_head.input_shape.res2.channels=24",
        "model.sem_seg_head.input_shape.res5.channels=64",
        "model.sem_seg_head.channels=8",
    )
    bank = StyleBank.load(tmp_path / "style_bank.safetensors")
    assert (bank.header.layer, bank.header.channels) == ("stages.0", 24)
    assert "acdc_rain" in (tmp_path / "benchmark.md").read_text()
    assert Predictor.from_pretrained(tmp_path).classes.names[0] == "road"


def test_two_sources_are_mined_trained_and_recorded_together(train, tiny_model, tmp_path):
    weights = ",".join(f"{name}_sem_seg_train:1" for name in ("gta5", "synthia"))
    train(
        ROOT / "configs/langdg_gta5_synthia.py",
        *tiny_model,
        f"dataloader.train.source_weights={{{weights}}}",
        "evaluation.domains=[synthia,acdc_rain]",
        "dataloader.test.synthia.num_workers=0",
    )
    record = json.loads((tmp_path / "benchmark.json").read_text())
    bank = StyleBank.load(tmp_path / "style_bank.safetensors")
    assert bank.header.source == "gta5_sem_seg_train + synthia_sem_seg_train"
    assert bank.header.settings["images"].startswith("8 images, ")
    assert record["styles"]["source"] == bank.header.source
    assert record["styles"]["number_of_styles"] == len(bank)
    assert record["styles"]["settings"]["prompts"] == bank.header.settings["prompts"]
    assert record["source"] == "gta5 + synthia"
    score = record["results"]["acdc_rain"]["sem_seg"]
    assert record["results"]["mean"]["sem_seg"]["mIoU"] == score["mIoU"]
    text = (tmp_path / "benchmark.md").read_text()
    assert "| synthia (source, " in text
    assert f"Mined from {bank.header.source} with CLIP tiny-clip-for-tests" in text


NAMES = "dataloader.train.dataset.names"
BOTH = "[gta5_sem_seg_train,synthia_sem_seg_train]"


@pytest.mark.parametrize(
    ("overrides", "source"),
    [
        ([f"{NAMES}={BOTH}"], "gta5_sem_seg_train + synthia_sem_seg_train"),
        (["styles.mining.origin.source=both", f"{NAMES}={BOTH}"], "both"),
        ([f"{NAMES}={BOTH}", "styles.mining.origin.source=both"], "both"),
        ([f"{NAMES}={BOTH}", f"{NAMES}=synthia_sem_seg_train"], "synthia_sem_seg_train"),
    ],
)
def test_sources_of_overrides_reach_mining_in_any_order(overrides, source):
    cfg = apply_overrides(load(ROOT / "configs/langdg_gta5.py"), overrides)
    assert joined_names(cfg.styles.mining.origin.source) == source
    assert cfg.styles.mining.batches.dataset.names == cfg.dataloader.train.dataset.names
    assert cfg.styles.augmentation.mixer.styles.origin == cfg.styles.mining.origin


@pytest.mark.parametrize(
    ("name", "override", "prompt"),
    [
        ("configs/langdg_gta5.py", "[driving at night]", "driving at night road"),
        ("configs/langdg_gta5.py", "driving_conditions", "foggy road"),
        ("configs/langdg_gta5.py", "night.txt", "moonlit road"),
        ("projects/poda/configs/night.py", "night.txt", "moonlit"),
        ("projects/poda/configs/night.py", "[driving at dusk]", "driving at dusk"),
        ("projects/streets/configs/experiment.py", "art_styles", "Copper Twilight style road"),
    ],
)
def test_style_prompts_of_an_override_are_used(name, override, prompt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("night.txt").write_text("moonlit\n")
    key = "styles.mining.miner.prompts.style_prompts"
    cfg = apply_overrides(load(ROOT / name), [f"{key}={override}"])
    assert instantiate(cfg.styles.mining.miner.prompts).all()[0] == prompt


def test_main_config_is_the_papers_recipe():
    cfg = LazyConfig.load(str(ROOT / "configs/langdg_gta5.py"))
    assert cfg.train.max_iter == 40_000
    assert cfg.dataloader.train.total_batch_size == 8
    assert cfg.model.backbone.trainable == ["layer4.-1"]
    assert (cfg.optimizer.lr, cfg.optimizer.momentum, cfg.optimizer.weight_decay) == (
        0.1,
        0.9,
        1e-4,
    )
    cfg.model.backbone.tower.weights = None
    model = instantiate(cfg.model)
    # 3 convolutions and norms of layer4's last block, and the head of 19 classes.
    block = 2048 * 512 + 9 * 512 * 512 + 512 * 2048 + 2 * (512 + 512 + 2048)
    trainable = sum(p.numel() for p in model.backbone.parameters() if p.requires_grad)
    assert trainable == block
    image = torch.randint(256, (3, 64, 96), dtype=torch.uint8)
    assert model.eval()([{"image": image}])[0]["sem_seg"].shape == (19, 64, 96)
    assert [
        a.__class__.__name__ for a in instantiate(cfg.dataloader.train.mapper).augmentations.augs
    ] == ["RandomCrop", "ColorJitter", "RandomFlip"]


@pytest.mark.parametrize(
    ("source", "trainable", "classes"),
    [("gta5", "layer4.-1", None), ("synthia", "layer4.-1", "16"), ("cityscapes", "layer4", None)],
)
def test_sources_have_the_papers_targets_and_layers(source, trainable, classes):
    both = [load(ROOT / f"configs/langdg_{source}{end}.py") for end in ("", "_rn101")]
    sets = {"gta5", "synthia", "cityscapes", "bdd100k", "mapillary"}
    for cfg in both:
        assert cfg.evaluation.source == source
        assert cfg.dataloader.train.dataset.names == f"{source}_sem_seg_train"
        weather = {f"acdc_{condition}" for condition in ("fog", "night", "rain", "snow")}
        assert set(cfg.evaluation.domains) == sets - {source} | weather
        assert cfg.evaluation.classes == classes
        assert cfg.model.backbone.trainable == [trainable]
    small, large = (cfg.model.backbone.tower.name for cfg in both)
    assert (small, large) == ("RN50-quickgelu", "RN101-quickgelu")
    assert both[0].train.output_dir != both[1].train.output_dir


def test_two_sources_are_scored_on_all_19_classes_of_unseen_sets():
    cfg = load(ROOT / "configs/langdg_gta5_synthia.py")
    assert cfg.evaluation.source == ["gta5", "synthia"]
    weather = [f"acdc_{condition}" for condition in ("night", "snow", "rain", "fog")]
    assert cfg.evaluation.domains == ["cityscapes", "bdd100k", "mapillary", *weather]
    assert cfg.evaluation.classes is None
    alone = {name: load(ROOT / f"configs/langdg_{name}.py") for name in cfg.evaluation.source}
    for stage in ("dataloader.train.mapper", "styles.mining.batches.mapper"):
        both = OmegaConf.select(cfg, stage)
        for name, one in alone.items():
            own = OmegaConf.select(one, stage)
            assert both[f"{name}_sem_seg_train"].augmentations == own.augmentations


def test_rn101_has_features_of_the_same_widths_and_more_blocks():
    cfg = LazyConfig.load(str(ROOT / "configs/langdg_gta5_rn101.py"))
    cfg.model.backbone.tower.weights = None
    model = instantiate(cfg.model)
    assert [len(getattr(model.backbone.tower, f"layer{k}")) for k in (1, 2, 3, 4)] == [3, 4, 23, 3]
    image = torch.randint(256, (3, 64, 96), dtype=torch.uint8)
    assert model.eval()([{"image": image}])[0]["sem_seg"].shape == (19, 64, 96)


@pytest.mark.parametrize("leaf", TRAINED_VIT, ids=lambda leaf: leaf.stem)
def test_large_transformers_train_their_last_four_blocks(leaf):
    cfg = LazyConfig.load(str(leaf))
    cfg.model.backbone.tower.weights = None
    with torch.device("meta" if "dinov2" in leaf.stem else "cpu"):
        model = instantiate(cfg.model)
    groups = model.backbone.layer_groups()
    trained = {
        name for name, own in groups.items() if any(p.requires_grad for p in parameters(own))
    }
    assert trained - {"pyramid"} == {f"blocks.{k}" for k in (20, 21, 22, 23)}
    assert model.backbone.size_divisibility == 16
    assert not any(p.requires_grad for p in parameters(groups["patch_embed"]))


@pytest.mark.parametrize("stage", ["dataloader.train.mapper", "styles.mining.batches.mapper"])
def test_synthia_is_cropped_to_720_then_resized(stage):
    cfg = LazyConfig.load(str(ROOT / "configs/langdg_synthia.py"))
    augmentations = OmegaConf.select(cfg, stage).augmentations
    scale, pad, crop, resize = (instantiate(a) for a in augmentations[:4])
    assert (scale.lowest, scale.highest) == (0.5, 2.0)
    assert (pad.size, pad.label_fill) == ((720, 720), 255)
    assert tuple(crop.crop_size) == (720, 720)
    assert tuple(resize.shape) == (768, 768)
    assert len(augmentations) == (6 if stage.startswith("dataloader") else 4)


def test_protocol_of_an_override_reaches_every_target():
    cfg = apply_overrides(load(ROOT / "configs/langdg_gta5.py"), ["evaluation.protocol=famix"])
    mapper = instantiate(cfg.dataloader.test.mapillary.mapper)
    assert [type(a).__name__ for a in mapper.augmentations.augs] == [
        "ResizeToHeight",
        "FamixCropOrPad",
    ]
    assert cfg.dataloader.test.acdc_fog.dataset.protocol == "famix"
