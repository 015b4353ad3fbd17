"""An experiment on a CLIP small enough for tests, in a folder of its own."""

import importlib
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
from streets.collection import Settings
from streets.domains import TARGET_LOOKS, VALIDATION_LOOKS
from streets.experiment import runs
from streets.experiment.runs import Experiment, Run

_TINY_CLIP = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 2], "width": 4, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


@pytest.fixture
def _forked_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments of this process fork their tools, which saves the seconds of imports."""
    monkeypatch.syspath_prepend(Path(__file__).parent)  # which the processes are given
    start_tool = importlib.import_module("forked_tools").start_tool
    imported = ["pytest", "detectron2.engine", "langdg_d2.styles", "langdg_d2.visualization"]
    multiprocessing.set_forkserver_preload(imported)
    monkeypatch.setattr(runs.asyncio, "create_subprocess_exec", start_tool)


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

    def make(*overrides: str, validation: bool = False, train: int = 16) -> Experiment:
        looks = VALIDATION_LOOKS if validation else TARGET_LOOKS
        return Experiment(
            output=tmp_path / "out",
            scenes=Settings(
                height=64, width=128, seed=0, train=train, val=2, targets=2, looks=looks
            ),
            overrides=(*tiny, *overrides),
        )

    return make


@pytest.fixture
def leave_scores() -> Callable[..., None]:
    """Function that leaves the record and settings of a run, with one mIoU for each domain."""

    def leave(run: Run, *mious: float, source: float = 50.0) -> None:
        unseen = [domain.name for domain in run.experiment.domains[1:]]
        scores = {"gta5": source, **dict.fromkeys(unseen), **dict(zip(unseen, mious, strict=False))}
        scores["mean"] = sum(mious) / len(mious)
        facts = {"source": "gta5", "config_file": "variant.yaml", "weights": "model_final.pth"}
        nothing = dict.fromkeys(("published", "styles", "config", "date"))
        record = {
            **facts | nothing | {name: {} for name in ("groups", "sets", "sections")},
            "format": 1,
            "protocol": "full",
            "inference": "whole image",
            "seed": run.seed,
            "git": {"commit": "0123456789", "dirty": True},
            "scored_classes": dict.fromkeys(scores, "19"),
            "results": {
                domain: {"sem_seg": {"mIoU": 0.0, "mIoU_detectron2": score}}
                for domain, score in scores.items()
            },
        }
        run.scores.mkdir(parents=True)
        (run.scores / "benchmark.json").write_text(json.dumps(record))
        (run.folder / "settings.json").write_text(json.dumps(run.settings))

    return leave
