"""What a resumed run is shown: other crops than those it began with."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from langdg_d2.modeling import LangDGSegmentor

ROOT = Path(__file__).parents[2]


@pytest.fixture
def images_of(datasets, tiny_model, load_tool, tmp_path, monkeypatch):
    """Function that trains into a folder and gives the images of all iterations."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    tool = load_tool("train_net")
    seen: list[torch.Tensor] = []
    losses = LangDGSegmentor.losses

    def recorded(model, batch):
        seen.extend(example["image"].clone() for example in batch)
        return losses(model, batch)

    monkeypatch.setattr(LangDGSegmentor, "losses", recorded)

    def train(folder: str, max_iter: int, resume: bool = False) -> list[torch.Tensor]:
        seen.clear()
        opts = [
            f"train.output_dir={tmp_path / folder}",
            f"train.max_iter={max_iter}",
            *tiny_model,
            "model.backbone.tower.weights=null",
            "dataloader.train.total_batch_size=2",
            "dataloader.train.num_workers=0",
            "dataloader.crop_size=[32,48]",
            "dataloader.test.acdc_fog.num_workers=0",
            "evaluation.domains=[acdc_fog]",
            "styles.bank=null",
            "styles.augmentation=null",
        ]
        config_file = str(ROOT / "configs/langdg_gta5.py")
        tool.main(
            Namespace(
                config_file=config_file, opts=opts, num_gpus=0, resume=resume, eval_only=False
            )
        )
        return list(seen)

    return train


def test_resumed_run_does_not_see_again_what_it_began_with(images_of):
    beginning = images_of("run", 2)
    assert len(beginning) == 4
    # The seed alone decides what a run begins with,
    assert all(map(torch.equal, images_of("again", 2), beginning))
    # and the iteration it is taken up at what it goes on with.
    resumed = images_of("run", 4, resume=True)
    assert len(resumed) == 4
    assert not any(torch.equal(new, old) for new in resumed for old in beginning)
