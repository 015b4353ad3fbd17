"""An experiment on a CLIP small enough for tests, in a folder of its own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streets.domains import Role
from streets.experiment.runs import Run
from streets.experiment.setting import Experiment, Scenes

from langdg_d2.evaluation import BenchmarkRun, write_benchmark
from langdg_d2.evaluation.multi_domain import mean_over_targets
from langdg_d2.structures import CLASS_SUBSETS

_TINY_CLIP = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 2], "width": 4, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


@pytest.fixture
def tiny(tmp_path: Path) -> list[str]:
    """Overrides that make everything small."""
    clip = tmp_path / "tiny-clip.json"
    clip.write_text(json.dumps(_TINY_CLIP))
    return [
        f"model.backbone.tower.name={clip}",
        "model.backbone.tower.weights=null",
        "model.sem_seg_head.input_shape.res2.channels=16",
        "model.sem_seg_head.input_shape.res5.channels=128",
        "model.sem_seg_head.channels=8",
        "dataloader.crop_size=[48,96]",
        "dataloader.train.num_workers=0",
        "dataloader.train.total_batch_size=2",
        "styles.mining.batches.batch_size=8",
        "styles.mining.num_workers=0",
        "train.log_period=1",
    ]


@pytest.fixture
def make_experiment(tmp_path: Path, tiny: list[str]) -> Callable[..., Experiment]:
    """Function that gives an experiment of tiny scenes; arguments change it."""

    def make(*overrides: str, role: Role = Role.TARGET, train: int = 16) -> Experiment:
        return Experiment(
            output=tmp_path / "out",
            data=tmp_path / "out/datasets",
            scenes=Scenes(height=64, width=128, train=train, val=2, targets=2),
            role=role,
            overrides=(*tiny, *overrides),
        )

    return make


@pytest.fixture
def leave_scores() -> Callable[..., None]:
    """Function that writes a run's record with the real writer, one mIoU for each look."""

    def leave(run: Run, mious: dict[str, float], *, source: float) -> None:
        results = {}
        for domain, miou in {"gta5": source, **mious}.items():
            per_class = {f"IoU-{name}": miou for name in CLASS_SUBSETS["19"]}
            table = {"mIoU": miou, "mIoU_detectron2": miou, **per_class, "num_images": 2.0}
            results[domain] = {"sem_seg": table}
        results["mean"] = mean_over_targets(results, source="gta5")
        record = BenchmarkRun(
            protocol="full", source="gta5", config_file="experiment.py", weights=str(run.folder)
        )
        write_benchmark(results, record, run.scores)

    return leave
