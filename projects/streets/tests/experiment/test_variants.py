"""Every variant changes what it says and nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from omegaconf import DictConfig, OmegaConf
from streets.experiment.runs import CONFIG, Experiment, Run
from streets.experiment.variants import TOWER_VARIANTS, VARIANTS

from langdg_d2.engine import load_config
from langdg_d2.styles import ConstantWeights
from langdg_d2.utils.provenance import plain_data

_FAMIX = Path(__file__).resolve().parents[3] / "famix/configs"
_ABLATIONS = sorted(name for name in VARIANTS if (_FAMIX / f"ablations/{name}.py").is_file())
_NAMED = {"evaluation.published", "train.output_dir"}
_LAYERS = ["stem", "layer1", "layer2", "layer3", "layer4"]


def changes(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of `other` that are not those of `one`; a call of something else is one."""
    both = isinstance(one, dict) and isinstance(other, dict)
    if both and one.get("_target_") == other.get("_target_"):
        for part in sorted(one.keys() | other.keys()):
            yield from changes(one.get(part), other.get(part), f"{key}.{part}".strip("."))
    elif one != other:
        yield key, other


def unresolved(cfg: Any) -> Any:
    return plain_data(OmegaConf.to_container(cfg, resolve=False))


@pytest.fixture
def config(make_experiment: Callable[..., Experiment]) -> Callable[..., DictConfig]:
    """Function that gives the config of a variant by name."""
    experiment = make_experiment()
    return lambda name, seed=1: Run(experiment, VARIANTS[name], seed).cfg


def test_variants_named_as_ablations_change_the_same_keys(
    config: Callable[..., DictConfig],
) -> None:
    assert len(_ABLATIONS) == 10
    recipe, paper = (
        unresolved(config("full")),
        unresolved(LazyConfig.load(f"{_FAMIX}/gta5_rn50.py")),
    )
    for name in _ABLATIONS:
        ablation = unresolved(LazyConfig.load(f"{_FAMIX}/ablations/{name}.py"))
        expected = {k: v for k, v in changes(paper, ablation) if k not in _NAMED}
        assert expected
        assert dict(changes(recipe, unresolved(config(name)))) == expected


def test_eight_variants_combine_freeze_augment_and_mix(config: Callable[..., DictConfig]) -> None:
    eight = list(VARIANTS.values())[:8]
    assert len({variant.title for variant in eight}) == 8
    for variant in eight:
        parts, cfg = {*variant.title.split(", ")}, config(variant.name)
        assert cfg.model.backbone.trainable == (["layer4.-1"] if "freeze" in parts else _LAYERS)
        assert (cfg.styles.augmentation is None) == parts.isdisjoint({"augment", "mix"})
        if cfg.styles.augmentation is not None:
            weights = instantiate(cfg.styles.augmentation.mixer.weights)
            assert isinstance(weights, ConstantWeights) == ("mix" not in parts)
            assert (cfg.styles.mining.miner.pin.steps == 0) == ("augment" not in parts)


@pytest.mark.parametrize(
    "name", [f"{name}_adamw" for name in VARIANTS if f"{name}_adamw" in VARIANTS]
)
def test_adamw_changes_the_optimizer_alone(config: Callable[..., DictConfig], name: str) -> None:
    cfgs = [config(name.removesuffix("_adamw")), config(name)]
    assert [key for key, _ in changes(*map(unresolved, cfgs))] == ["optimizer"]
    cfgs[1].optimizer.params.model = torch.nn.Linear(2, 2)
    assert isinstance(instantiate(cfgs[1].optimizer), torch.optim.AdamW)


@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        ("more_styles", "full", {"styles.mining.batches.batch_size": 4}),
        ("art_styles", "full", {"styles.mining.miner.prompts.style_prompts": "art_styles"}),
        ("half_restyled_adamw", "full_adamw", {"styles.augmentation.probability": 0.5}),
        (
            "freeze_low_half_restyled_adamw",
            "half_restyled_adamw",
            {"model.backbone.trainable": ["layer2", "layer3", "layer4"]},
        ),
    ],
)
def test_own_variants_change_one_key(
    config: Callable[..., DictConfig], name: str, base: str, expected: dict[str, Any]
) -> None:
    assert dict(changes(unresolved(config(base)), unresolved(config(name)))) == expected


def test_strong_noise_is_fifteen_decibels_louder(config: Callable[..., DictConfig]) -> None:
    styles = "styles.augmentation.mixer.styles"
    found = changes(*(unresolved(config(f"{name}noise_styles")) for name in ("", "strong_")))
    assert dict(found) == {f"{styles}.snr_db": 5.0}
    assert OmegaConf.select(config("noise_styles"), styles).snr_db == 20.0


def test_oracle_trains_on_other_scenes_of_scored_domains(
    make_experiment: Callable[..., Experiment],
) -> None:
    experiment = make_experiment(validation=True)
    scored, shown = experiment.collections.values()
    assert scored.looks == shown.looks == ("smoggy_industry", "wet_evening")
    assert scored.seed != shown.seed
    assert shown.targets * len(shown.looks) == scored.train == 16
    cfg = Run(experiment, VARIANTS["oracle"], 1).cfg
    assert cfg.dataloader.train.dataset.names == [
        cfg.dataloader.test[name].dataset.names for name in ("idd", "dark_zurich")
    ]


@pytest.mark.parametrize(
    ("validation", "unseen"),
    [
        (True, ["idd", "dark_zurich"]),
        (False, load_config(str(CONFIG), []).evaluation.domains[1:]),
    ],
)
def test_source_and_chosen_looks_are_scored(
    make_experiment: Callable[..., Experiment], validation: bool, unseen: list[str]
) -> None:
    cfg = Run(make_experiment(validation=validation), VARIANTS["full"], 1).cfg
    first, *others = cfg.evaluation.domains
    assert first == "gta5"
    assert sorted(others) == sorted(unseen)


def test_seed_reaches_weights_styles_and_prompts(config: Callable[..., DictConfig]) -> None:
    cfgs = [config("random_character_prompts", seed) for seed in (1, 5)]
    assert [(c.train.seed, c.styles.seed, c.styles.mining.batches.seed) for c in cfgs] == [
        (1, 1, 1),
        (5, 5, 5),
    ]
    one, other = (instantiate(c.styles.mining.miner.prompts.style_prompts) for c in cfgs)
    assert len(set(one)) == 20
    assert set(one).isdisjoint(other)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("linear_head", ()),
        ("frozen", ()),
        ("train_tower", ("weight", "bias", "cls_token", "pos_embed")),
        ("lora", ("lora_a", "lora_b")),
        ("soma_minor", ("lora_a", "lora_b", "bias")),
        ("soma_released", ("lora_a", "lora_b", "bias")),
        ("rein", ("weight", "bias", "scale", "token_a", "token_b")),
    ],
)
def test_tower_variants_train_what_they_name(name: str, ends: tuple[str, ...]) -> None:
    config = CONFIG.with_name("experiment_vit.py")
    cfg = load_config(str(config), ["model.backbone.tower.weights=null"])
    for change in TOWER_VARIANTS[name].changes:
        change(cfg)
    model = instantiate(cfg.model).train()
    model.logits(torch.rand(1, 3, 64, 64)).sum().backward()
    learned = {key for key, value in model.named_parameters() if value.grad is not None}
    assert learned == {key for key, value in model.named_parameters() if value.requires_grad}
    of_tower = {key for key in learned if key.startswith("backbone.")}
    assert {key.rpartition(".")[2] for key in of_tower} == set(ends)
    assert ("backbone.trunk.blocks.0.attn.qkv.weight" in learned) == (name == "train_tower")
