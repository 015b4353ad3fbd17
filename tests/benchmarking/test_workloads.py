"""What is timed is the real thing, with random inputs."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig

from langdg_d2.benchmarking import PhaseTimer
from langdg_d2.benchmarking.timing import TOTAL
from langdg_d2.benchmarking.workloads import WORKLOADS
from langdg_d2.data import dataset_mapper
from langdg_d2.engine import apply_overrides

CONFIG = Path(__file__).parents[2] / "configs/langdg_gta5.py"


@pytest.fixture
def cfg(tiny_clip, tiny_model):
    return apply_overrides(
        LazyConfig.load(str(CONFIG)),
        [
            *tiny_model,
            f"styles.mining.miner.clip.name={tiny_clip}",
            "train.device=cpu",
            "dataloader.crop_size=[96,96]",
            "dataloader.train.total_batch_size=2",
            "styles.mining.batches.batch_size=2",
            "styles.mining.miner.pin.steps=3",
        ],
    )


def phases(cfg, name, **arguments):
    timer = PhaseTimer("cpu")
    workload = WORKLOADS[name](cfg, timer, **arguments)
    return workload, timer.run(workload.step)


def test_a_training_step_is_split_into_its_phases_and_trains(cfg):
    timer = PhaseTimer("cpu")
    workload = WORKLOADS["train"](cfg, timer)
    head = cfg.optimizer.params.model.sem_seg_head.predict.weight
    before = head.detach().clone()
    seconds = timer.run(workload.step)
    names = {"data", "trunk", "mixing", "head", "loss", "backward", "optimizer", TOTAL}
    assert seconds.keys() == names
    assert sum(seconds.values()) - seconds[TOTAL] <= seconds[TOTAL]
    assert not torch.equal(before, head)
    assert (workload.items, workload.unit) == (2, "images")


def test_accumulated_batches_count_as_images_of_one_step(cfg):
    cfg.train.accumulate = 3
    assert phases(cfg, "train")[0].items == 6


def test_without_augmentation_nothing_is_mixed(cfg):
    cfg.styles.augmentation = None
    assert "mixing" not in phases(cfg, "train")[1]


def test_inference_predicts_an_image_of_the_wanted_size(cfg):
    workload, seconds = phases(cfg, "infer", size=(64, 96))
    assert seconds.keys() == {"trunk", "head", TOTAL}
    assert workload.step()[0]["sem_seg"].shape[-2:] == (64, 96)


def test_mining_counts_a_step_of_every_style(cfg):
    workload, _ = phases(cfg, "mine")
    styles = workload.items / 3
    assert workload.unit == "style-steps"
    assert 1 < styles <= 2 * 9  # images x patches


def test_loading_is_split_into_reading_and_augmentation(cfg, datasets, monkeypatch):
    for name in ("read_rgb", "read_train_ids"):
        monkeypatch.setattr(dataset_mapper, name, getattr(dataset_mapper, name))
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    cfg.dataloader.crop_size = [16, 16]
    workload, seconds = phases(cfg, "loader")
    assert seconds.keys() == {"image file", "label file", "augmentation", TOTAL}
    assert [x["image"].shape for x in workload.step()] == [(3, 16, 16)] * 2
    assert (workload.items, workload.unit) == (2, "images")
