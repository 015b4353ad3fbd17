"""What no run could be is refused before anything is written, mined or trained.

key, value -> what the error says. Kinds of values are refused with the override already, see
`test_overrides`; here are values of the right kind, and `null`.
"""

from copy import deepcopy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from langdg_d2.engine import load_config
from langdg_d2.engine.config import apply_overrides
from langdg_d2.engine.config_checks import check_config
from langdg_d2.utils.errors import LangDGError

ROOT = Path(__file__).parents[2]

WHOLE = "expected a whole number of"
BAD = [
    ("train.output_dir=s3://bucket/run", "is an address, expected a local folder"),
    ("styles.bank=s3://bucket/bank.safetensors", "is an address, expected a local folder"),
    ("train.max_iter=0", f"train.max_iter is 0, {WHOLE} 1 or more"),
    ("train.max_iter=1.5", f"train.max_iter is 1.5, {WHOLE} 1 or more"),
    ("train.max_iter=null", "train.max_iter is None, expected a whole number"),
    ("train.accumulate=0", f"train.accumulate is 0, {WHOLE} 1 or more"),
    ("train.eval_period=-1", f"train.eval_period is -1, {WHOLE} 0 or more"),
    ("train.log_period=0", f"train.log_period is 0, {WHOLE} 1 or more"),
    ("train.checkpointer.period=0", f"train.checkpointer.period is 0, {WHOLE} 1 or more"),
    ("train.checkpointer.max_to_keep=0", f"train.checkpointer.max_to_keep is 0, {WHOLE} 1"),
    ("train.seed=0.5", "train.seed is 0.5, expected a whole number from -4294967296 to"),
    ("train.seed=4294967295", "train.seed is 4294967295, expected a whole number from"),
    ("train.deterministic=null", "train.deterministic is None, expected True or False"),
    ("train.cudnn_benchmark=null", "train.cudnn_benchmark is None, expected True or False"),
    ("train.output_dir=null", "train.output_dir is None, expected the name of a folder"),
    ("train.output_dir=''", "train.output_dir is '', expected the name of a folder"),
    ("train.output_dir=FILE/run", "FILE' is a file, expected a folder; choose another output"),
    ("train.device=gpu", "train.device is 'gpu', expected one such as 'cuda'"),
    ("train.device=null", "train.device is None, expected one such as 'cuda'"),
    ("train.device=cuda:99", "train.device is 'cuda:99', of which there are"),
    ("train.memory_format=nhwc", "memory format 'nhwc' must be one of"),
    ("train.precision=float16", "'float16' is for GPUs"),
    ("evaluation.inference.precision=half", "'half', expected one of float32"),
    ("dataloader.train.total_batch_size=0", f"total_batch_size is 0, {WHOLE} 1 or more"),
    ("dataloader.train.total_batch_size=7", "is 7, expected a multiple of the 2 processes"),
    ("dataloader.train.num_workers=-1", f"num_workers is -1, {WHOLE} 0 or more"),
    ("dataloader.train.unreadable_limit=-1", f"unreadable_limit is -1, {WHOLE} 0 or more"),
    ("dataloader.train.unreadable_limit=0.5", f"unreadable_limit is 0.5, {WHOLE} 0 or more"),
    ("dataloader.train.seed=0.5", "dataloader.train.seed is 0.5, expected a whole number from"),
    ("dataloader.train.seed=null", "dataloader.train.seed is None, expected a whole number from"),
    ("dataloader.crop_size=[768]", "expected height and width in pixels as [768,768]"),
    ("dataloader.crop_size=[768,0]", "expected height and width in pixels as [768,768]"),
    ("dataloader.crop_size=[32.5,48]", "expected height and width in pixels as [768,768]"),
    ("dataloader.crop_size=[8,8]", "[8, 8], too small for the patches of styles.grid after 'layer"),
    ("dataloader.crop_size=[15,13]", "PatchGrid(3, 3) cuts a 4x3 map into patches of one pixel"),
    ("styles.grid.rows=193", "too small for the patches of styles.grid after 'layer1'"),
    ("styles.grid.rows=0", "PatchGrid(0, 3) needs at least one cell"),
    ("styles.bank=FOLDER", "FOLDER' is a folder, expected the name of a file"),
    ("styles.bank=FILE/bank.safetensors", "FILE' is a file, expected a folder"),
    ("styles.seed=-1", f"styles.seed is -1, {WHOLE} 0 or more"),
    ("styles.mining.batches.batch_size=0", f"batch_size is 0, {WHOLE} 1 or more"),
    ("styles.mining.batches.unreadable_limit=-1", f"unreadable_limit is -1, {WHOLE} 0 or more"),
    ("styles.mining.checkpoint_period=0", f"checkpoint_period is 0, {WHOLE} 1 or more"),
    ("styles.mining.batches.max_batches=0", f"max_batches is 0, {WHOLE} 1 or more"),
    ("styles.mining.max_styles_per_class=1.5", f"per_class is 1.5, {WHOLE} 1 or more"),
    ("styles.mining.num_workers=-2", f"num_workers is -2, {WHOLE} 0 or more"),
    ("styles.mining.miner.pin.steps=-1", "steps and weight_decay must not be negative"),
    ("styles.mining.miner.prompts.template=x", "template 'x' has the fields []"),
    ("styles.mining.miner.prompts.style_prompts=nopack", "'nopack': neither a file nor one"),
    ("styles.mining.miner.prompts.style_prompts=[a,A]", "['A'] more than once"),
    ("dataloader.train.source_weights={gta5:1}", "{gta5_sem_seg_train:1}"),
    ("dataloader.train.source_weights={gta5_sem_seg_train:0}", "expected positive numbers"),
    ("dataloader.train.source_weights=2", "are 2, expected a number for each sourc"),
    ("styles.augmentation.probability=2", "probability 2 of restyling must be in 0..1"),
    ("styles.augmentation.warmup_iters=-1", "warmup_iters -1 must not be negative"),
    ("styles.augmentation.mixer.weights.a=-1", "Beta(-1, 0.1) needs two positive parameters"),
    ("optimizer.lr=-1", "Invalid learning rate: -1"),
    ("optimizer.momentum=-1", "Invalid momentum value: -1"),
]


@pytest.fixture(scope="module")
def config():
    return load_config(str(ROOT / "configs/langdg_gta5.py"), ["train.device=cpu"])


@pytest.mark.parametrize(("override", "says"), BAD, ids=[override for override, _ in BAD])
def test_what_no_run_could_be_is_refused_by_its_key(config, override, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("kept")
    Path("FOLDER").mkdir()
    cfg = apply_overrides(deepcopy(config), [override])
    with pytest.raises((LangDGError, OSError)) as caught:
        check_config(cfg, processes=2)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FILE", "FOLDER"]
    assert Path("FILE").read_text() == "kept"


def test_batch_norm_needs_two_images_and_other_norms_do_not(config):
    cfg = apply_overrides(deepcopy(config), ["dataloader.train.total_batch_size=1"])
    with pytest.raises(LangDGError, match="total_batch_size is 1, expected 2 or more"):
        check_config(cfg, processes=1)
    check_config(apply_overrides(cfg, ["model.sem_seg_head.norm=GN"]), processes=1)


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
    ],
)
def test_what_a_run_can_be_passes_and_nothing_is_changed_or_made(
    config, override, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    cfg = apply_overrides(deepcopy(config), [override])
    before = deepcopy(cfg)
    check_config(cfg, processes=4)
    assert cfg == before
    assert not list(tmp_path.iterdir())


def test_source_weights_of_an_own_data_set_pass(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = apply_overrides(deepcopy(config), ["dataloader.train.source_weights={own:1}"])
    del cfg.dataloader.train.dataset.names
    check_config(cfg, processes=1)


CONFIGS = [
    *ROOT.glob("configs/*.py"),
    ROOT / "projects/famix/configs/ablations/noise_styles.py",
    ROOT / "projects/famix/configs/ablations/no_mixing.py",
    ROOT / "projects/poda/configs/fog.py",
]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_configs_of_the_project_pass(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = load_config(str(file), ["train.device=cpu"])
    check_config(cfg, processes=8)
    assert OmegaConf.select(cfg, "train.max_iter") > 0
