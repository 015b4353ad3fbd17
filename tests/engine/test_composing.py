"""What no run could be is refused when the tool composes it, before anything is recorded.

key, value -> what the error says. Kinds of values are refused with the override already, see
`test_overrides`; here are values of the right kind, and `null`.
"""

from argparse import Namespace
from copy import deepcopy
from pathlib import Path

import pytest
from detectron2.config import LazyConfig
from detectron2.engine import default_argument_parser

from langdg_d2 import engine
from langdg_d2.utils.errors import LangDGError

ROOT = Path(__file__).parents[2]
MAIN = str(ROOT / "configs/langdg_gta5.py")

WHOLE = "expected a whole number of"
BAD = [
    ("train.output_dir=s3://bucket/run", "is an address, expected a local folder"),
    ("styles.bank=s3://bucket/bank.safetensors", "is an address, expected a local folder"),
    ("train.max_iter=0", f"train.max_iter is 0, {WHOLE} 1 or more"),
    ("train.accumulate=0", f"train.accumulate is 0, {WHOLE} 1 or more"),
    ("train.eval_period=-1", f"train.eval_period is -1, {WHOLE} 0 or more"),
    ("train.log_period=0", f"train.log_period is 0, {WHOLE} 1 or more"),
    ("train.checkpointer.period=0", f"train.checkpointer.period is 0, {WHOLE} 1 or more"),
    ("train.checkpointer.max_to_keep=0", f"train.checkpointer.max_to_keep is 0, {WHOLE} 1"),
    ("train.seed=0.5", "train.seed is 0.5, expected a whole number from -4294967296 to"),
    ("train.seed=4294967296", "train.seed is 4294967296, expected a whole number from"),
    ("train.output_dir=null", "train.output_dir is None, expected the path of a folder"),
    ("train.output_dir=''", "train.output_dir is '', expected the path of a folder"),
    ("train.output_dir=FILE/run", "FILE' is a file, expected a folder; choose another output"),
    ("train.device=gpu", "train.device is 'gpu', which torch cannot use"),
    ("train.device=null", "train.device is None, which torch cannot use"),
    ("train.device=cuda:99", "train.device is 'cuda:99', which torch cannot use"),
    ("train.memory_format=nhwc", "memory format 'nhwc' must be one of"),
    ("train.precision=float16", "'float16' is for GPUs"),
    ("evaluation.inference.precision=half", "'half', expected one of float32"),
    ("dataloader.train.total_batch_size=0", f"total_batch_size is 0, {WHOLE} 1 or more"),
    ("dataloader.train.total_batch_size=1", "total_batch_size is 1, expected at least 2"),
    ("dataloader.train.num_workers=-1", f"num_workers is -1, {WHOLE} 0 or more"),
    ("dataloader.train.unreadable_limit=-1", f"unreadable_limit is -1, {WHOLE} 0 or more"),
    ("dataloader.train.seed=0.5", "dataloader.train.seed is 0.5, expected a whole number from"),
    ("styles.grid.rows=0", "rows of the patch grid is 0, expected a whole number of 1 or more"),
    ("styles.bank=FOLDER", "FOLDER' is a folder, expected the path of a file"),
    ("styles.bank=FILE/bank.safetensors", "FILE' is a file, expected a folder"),
    ("styles.seed=-1", f"styles.seed is -1, {WHOLE} 0 or more"),
    ("styles.mining.batches.batch_size=0", "cannot fill a batch of 0: set styles.mining.batches"),
    ("styles.mining.batches.unreadable_limit=-1", f"unreadable_limit is -1, {WHOLE} 0 or more"),
    ("styles.mining.checkpoint_period=0", f"checkpoint_period is 0, {WHOLE} 1 or more"),
    ("styles.mining.batches.max_batches=0", f"max_batches is 0, {WHOLE} 1 or more"),
    ("styles.mining.max_styles_per_class=1.5", f"per_class is 1.5, {WHOLE} 1 or more"),
    ("dataloader.crop_size=[768]", "expected height and width in pixels as [768,768]"),
    ("dataloader.crop_size=[768,0]", "expected height and width in pixels as [768,768]"),
    ("dataloader.crop_size=[32.5,48]", "expected height and width in pixels as [768,768]"),
    ("dataloader.crop_size=[8,8]", "[8, 8], too small for the patches of styles.grid after 'layer"),
    ("dataloader.crop_size=[15,13]", "PatchGrid(3, 3) cuts a 4x3 map into patches of one pixel"),
    ("styles.mining.num_workers=-2", f"num_workers is -2, {WHOLE} 0 or more"),
    ("styles.mining.miner.pin.steps=-1", "pin.steps is -1, expected a whole number of 0 or more"),
    ("styles.mining.miner.prompts.template=x", "template 'x' has the fields []"),
    ("styles.mining.miner.prompts.style_prompts=nopack", "'nopack': neither a file nor one"),
    ("styles.mining.miner.prompts.style_prompts=[a,A]", "['A'] more than once"),
    ("dataloader.train.source_weights={gta5:1}", "{gta5_sem_seg_train:1}"),
    ("dataloader.train.source_weights={gta5_sem_seg_train:0}", "expected positive numbers"),
    ("dataloader.train.source_weights=2", "are 2, expected a number for each sourc"),
    ("styles.augmentation.probability=2", "probability of restyling is 2, expected 0..1"),
    ("styles.augmentation.warmup_iters=-1", f"warmup_iters is -1, {WHOLE} 0 or more"),
    ("styles.augmentation.mixer.weights.a=-1", "the parameters of Beta(-1, 0.1) must be positive"),
    ("optimizer.lr=-1", "learning rate -1 and the backbone's factor 0.1 must be positive"),
    ("optimizer.momentum=-1", "optimizer: Invalid momentum value: -1"),
    ("lr_scheduler.power=-1", "power -1 and min_lr 1e-06 of the decay must not be negative"),
    ("train.best_period=-1", f"train.best_period is -1, {WHOLE} 1 or more"),
    ("styles.mine_if_missing=false", "tools/mine_styles.py and this config"),
    ("evaluation.domains=[cityscape]", "domains has unknown domains ['cityscape']; known are ["),
    ("evaluation.source=GTA5", "evaluation.source has unknown domains ['GTA5']; known are ["),
    ("evaluation.published=famix_rn18", "no published figures 'famix_rn18'"),
    (
        "dataloader.test.cityscapes.mapper.augmentations.protocol=famix",
        "'cityscapes' has the protocol 'famix', but the tables report 'full' of `evaluation`",
    ),
    (
        "dataloader.test.cityscapes.mapper.augmentations.corruption=gaussian_noise",
        "'cityscapes' has the corruption 'gaussian_noise', but the tables report None of",
    ),
    (
        "dataloader.evaluators.cityscapes.0.evaluator.scored_classes=16",
        "'cityscapes' has the scored_classes 16, but the tables report None of `evaluation`",
    ),
    ("evaluation.inference.scales=[-1.0]", "scales [-1.0]; expected a list of factors above"),
    ("evaluation.inference.precision=float16", "'float16' is for GPUs"),
]


# A config of few domains is read sooner.
ACDC = {f"acdc_{condition}" for condition in ("fog", "night", "rain", "snow")}
DOMAINS = {"gta5", "synthia", "cityscapes", *ACDC}


class ComposedError(Exception):
    """Everything has been composed."""


@pytest.fixture(scope="module")
def load():
    """Function that reads a config file, once."""
    configs, read = {}, LazyConfig.load

    def load_config(file):
        if file not in configs:
            configs[file] = read(file)
            parts = configs[file].dataloader
            for domain in set(parts.test) - DOMAINS if file == MAIN else ():
                del parts.test[domain], parts.evaluators[domain]
        return deepcopy(configs[file])

    return load_config


@pytest.fixture
def compose(load, load_tool, datasets, tiny_model, tmp_path, monkeypatch):
    """Function that lets the tool compose a tiny run on the CPU, with overrides."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    monkeypatch.chdir(tmp_path)
    tool = load_tool("train_net")

    def stop(cfg, args: Namespace) -> None:
        raise ComposedError(cfg)

    def run(*overrides, file=MAIN):
        sizes = [
            "dataloader.train.total_batch_size=2",
            "dataloader.crop_size=[32,48]",
            "styles.mining.batches.batch_size=2",
            "model.backbone.tower.weights=null",
            "train.output_dir=out",
        ]
        arguments = ["--config-file", str(file), "--num-gpus", "0", *tiny_model, *sizes, *overrides]
        if any(override.startswith("train.device=") for override in overrides):
            arguments[3] = "1"
        tool.main(default_argument_parser().parse_args(arguments))

    monkeypatch.setattr(engine, "start_run", stop)
    monkeypatch.setattr(LazyConfig, "load", load)
    return run


@pytest.mark.parametrize(("override", "says"), BAD, ids=[override for override, _ in BAD])
def test_no_impossible_run_begins(compose, override, says, tmp_path):
    Path("FILE").write_text("kept")
    Path("FOLDER").mkdir()
    Path("out").mkdir()
    Path("out/config.yaml").write_text("of an earlier run")
    with pytest.raises((LangDGError, OSError)) as caught:
        compose("evaluation.domains=[cityscapes]", override)  # of all others, one is enough
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FILE", "FOLDER", "out"]
    assert not list(tmp_path.rglob("*.safetensors*"))
    assert Path("out/config.yaml").read_text() == "of an earlier run"
    assert Path("FILE").read_text() == "kept"


@pytest.mark.parametrize(
    "override",
    [
        "styles.augmentation=null",
        "styles.bank=null",
        "train.seed=-1",
        "dataloader.train.seed=-3",
        "train.checkpointer.max_to_keep=null",
        "train.eval_period=0",
        "dataloader.crop_size=[24,17]",  # 6 x 4 after layer1
        "styles.mining.batches.max_batches=2",
        "styles.mining.miner.prompts.style_prompts=[driving at night]",
        "dataloader.train.source_weights={gta5_sem_seg_train:2.5}",
        "dataloader.train.dataset.names=[gta5_sem_seg_train,synthia_sem_seg_train]",
        "evaluation.source=[gta5,synthia]",
    ],
)
def test_a_possible_run_is_composed_and_nothing_mined(compose, override, tmp_path):
    published = "evaluation.published=null"
    names = override.startswith(("evaluation.source", "dataloader.train.dataset"))
    with pytest.raises(ComposedError) as caught:
        compose("evaluation.domains=[cityscapes]", override, *([published] if names else []))
    (cfg,) = caught.value.args
    assert cfg.train.output_dir == "out"
    assert "first_batch" not in cfg.dataloader.train  # the config is recorded as it was given
    assert not list(tmp_path.rglob("*.safetensors*"))


CONFIGS = [
    *(ROOT / f"configs/langdg_{name}.py" for name in ("cityscapes", "gta5_synthia", "synthia")),
    ROOT / "projects/famix/configs/ablations/noise_styles.py",
    ROOT / "projects/famix/configs/ablations/no_mixing.py",
    ROOT / "projects/poda/configs/fog.py",
]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_configs_of_the_project_are_composed(compose, file):
    with pytest.raises(ComposedError):
        compose("evaluation.protocol=full", "train.init_checkpoint=''", file=file)
