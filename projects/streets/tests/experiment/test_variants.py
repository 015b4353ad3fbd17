"""Every cell changes what it says and nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from omegaconf import OmegaConf
from streets.domains import DOMAINS, Role
from streets.experiment.cells import CELLS, choose_cells
from streets.experiment.setting import Experiment, collections, oracle_data

from langdg_d2.evaluation import plain_data
from langdg_d2.styles import ConstantWeights, NoiseStyles
from langdg_d2.utils.errors import LangDGError

_FAMIX = Path(__file__).resolve().parents[3] / "famix/configs"
_ABLATIONS = sorted(
    name for name in CELLS if (_FAMIX / f"ablations/{name}.py").is_file() and name != "full"
)
_NAMED = {"evaluation.published", "train.output_dir"}
_LAYERS = ["stem", "layer1", "layer2", "layer3", "layer4"]


def changes(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of `other` that are not those of `one`; a call of something else is one."""
    both = isinstance(one, dict) and isinstance(other, dict)
    if both and _name(one) == _name(other):
        for part in sorted((one.keys() | other.keys()) - {"_target_"}):
            yield from changes(one.get(part), other.get(part), f"{key}.{part}".strip("."))
    elif one != other:
        is_call = isinstance(other, dict) and "_target_" in other
        yield key, (other | {"_target_": _name(other)} if is_call else other)


def _name(node: dict[str, Any]) -> str:
    """Of what a call names: modules may export it under a shorter path."""
    return str(node.get("_target_")).rpartition(".")[2]


def unresolved(cfg: Any) -> Any:
    return plain_data(OmegaConf.to_container(cfg, resolve=False))


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment()


def test_cells_named_as_ablations_of_the_paper_change_the_same_keys_to_the_same_values(
    experiment: Experiment,
) -> None:
    assert len(_ABLATIONS) == 10
    recipe = unresolved(experiment.cell_config(CELLS["full"], 1))
    paper = unresolved(LazyConfig.load(str(_FAMIX / "gta5_rn50.py")))
    for name in _ABLATIONS:
        ablation = unresolved(LazyConfig.load(str(_FAMIX / f"ablations/{name}.py")))
        expected = {k: v for k, v in changes(paper, ablation) if k not in _NAMED}
        assert expected
        assert dict(changes(recipe, unresolved(experiment.cell_config(CELLS[name], 1)))) == expected


def test_the_eight_are_all_combinations_of_three_parts(experiment: Experiment) -> None:
    eight = [cell for cell in CELLS.values() if cell.of_eight]
    assert len({(cell.freeze, cell.augment, cell.mix) for cell in eight}) == len(eight) == 8
    for cell in eight:
        cfg = experiment.cell_config(cell, 1)
        assert cfg.model.backbone.trainable == (["layer4.-1"] if cell.freeze else _LAYERS)
        assert (cfg.styles.augmentation is None) == (cell.augment == "none" and not cell.mix)
        if cfg.styles.augmentation is not None:
            weights = instantiate(cfg.styles.augmentation.mixer.weights)
            assert isinstance(weights, ConstantWeights) != cell.mix
            assert (cfg.styles.mining.miner.pin.steps == 0) == (cell.augment == "none")


def test_replaced_calls_are_built_without_the_arguments_of_what_they_replace(
    experiment: Experiment,
) -> None:
    mixer = experiment.cell_config(CELLS["noise_styles"], 1).styles.augmentation.mixer
    assert isinstance(instantiate(mixer.styles), NoiseStyles)
    weights = instantiate(
        experiment.cell_config(CELLS["no_mixing"], 1).styles.augmentation.mixer.weights
    )
    assert not weights(2, 3, torch.Generator()).any()
    drawn = [
        instantiate(
            experiment.cell_config(
                CELLS["random_character_prompts"], seed
            ).styles.mining.miner.prompts.style_prompts
        )
        for seed in (1, 2)
    ]
    assert len(set(drawn[0])) == 20
    assert set(drawn[0]).isdisjoint(drawn[1])


@pytest.mark.parametrize("name", [name for name in CELLS if name.endswith("_adamw")])
def test_cells_with_adamw_change_the_optimizer_and_nothing_else(
    experiment: Experiment, name: str
) -> None:
    cells = [CELLS[name.removesuffix("_adamw")], CELLS[name]]
    cfgs = [experiment.cell_config(cell, 1) for cell in cells]
    assert [key for key, _ in changes(*map(unresolved, cfgs))] == ["optimizer"]
    cfgs[1].optimizer.params.model = torch.nn.Linear(2, 2)
    assert isinstance(instantiate(cfgs[1].optimizer), torch.optim.AdamW)
    assert not CELLS[name].of_eight


def test_smaller_batches_are_mined_for_more_styles_and_nothing_else(experiment: Experiment) -> None:
    cfgs = [experiment.cell_config(CELLS[name], 1) for name in ("full", "more_styles")]
    assert dict(changes(*map(unresolved, cfgs))) == {"styles.mining.batches.batch_size": 4}
    assert [cfg.styles.mining.settings.batch_size for cfg in cfgs] == [8, 4]


def test_styles_are_driving_conditions_and_in_one_cell_art(experiment: Experiment) -> None:
    prompts = {
        name: instantiate(experiment.cell_config(CELLS[name], 1).styles.mining.miner.prompts).styles
        for name in ("full", "no_mixing", "art_styles")
    }
    assert "foggy" in prompts["full"]
    assert prompts["full"] == prompts["no_mixing"]
    assert all(prompt.endswith(" style") for prompt in prompts["art_styles"])


def test_colours_are_jittered_also_where_no_features_are_restyled(experiment: Experiment) -> None:
    cfg = experiment.cell_config(CELLS["no_restyling"], 1)
    jitter = instantiate(cfg.dataloader.train.mapper.augmentations[1])
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.random.seed(0)
    assert (jitter.get_transform(image).apply_image(image) != image).any()
    assert dict(changes(unresolved(cfg)["model"], unresolved(experiment.base)["model"])) == {}


@pytest.mark.parametrize("role", [Role.TARGET, Role.VALIDATION])
def test_the_oracle_is_trained_on_other_scenes_of_the_looks_it_is_scored_on(
    make_experiment: Callable[..., Experiment], role: Role
) -> None:
    experiment = make_experiment(role=role)
    found = collections(experiment, [CELLS["full"], CELLS["oracle"]])
    scored, shown = found[experiment.data], found[oracle_data(experiment)]
    assert scored.looks == shown.looks == tuple(d.look for d in DOMAINS if d.role is role)
    assert scored.seed != shown.seed
    assert shown.targets * len(shown.looks) == scored.train == 16
    names = experiment.cell_config(CELLS["oracle"], 1).dataloader.train.dataset.names
    tests = experiment.base.dataloader.test
    assert names == [tests[domain.name].dataset.names for domain in experiment.unseen]
    assert set(collections(experiment, [CELLS["full"]])) == {experiment.data}


def test_the_config_scores_the_source_and_all_targets(experiment: Experiment) -> None:
    domains = [experiment.source, *experiment.unseen]
    assert sorted(experiment.base.evaluation.domains) == sorted(domain.name for domain in domains)


def test_seeds_reach_weights_and_styles(experiment: Experiment) -> None:
    cfg = experiment.cell_config(CELLS["full"], 5)
    assert (cfg.train.seed, cfg.styles.seed, cfg.styles.mining.batches.seed) == (5, 5, 5)


def test_cells_are_chosen_by_name_and_a_misspelt_one_is_refused() -> None:
    chosen = choose_cells(["oracle", "full"])
    assert [cell.name for cell in chosen] == ["full", "oracle"]
    assert choose_cells(None) == list(CELLS.values())
    with pytest.raises(LangDGError, match="fulll"):
        choose_cells(["fulll"])
