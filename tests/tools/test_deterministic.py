"""The whole way from CLIP to scores, twice: the same bits, and no word with another machine."""

import socket
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import LazyConfig

from langdg_d2.engine.defaults import compute_deterministically
from langdg_d2.modeling.checkpoint_files import read_checkpoint
from langdg_d2.utils.errors import LangDGError

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")


@pytest.fixture
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, benchmark


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the network, which answers nothing."""
    found: list[str] = []

    def refused(call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any, **options: Any) -> Any:
            first = args[0]
            if isinstance(first, socket.socket) and first.family == socket.AF_UNIX:
                return real(*args, **options)
            found.append(f"{call} {args}")
            raise OSError("the network is blocked")

        return ask

    for owner, call in (
        (socket.socket, "connect"),
        (socket.socket, "connect_ex"),
        (socket.socket, "sendto"),
        (socket, "getaddrinfo"),
        (socket, "gethostbyname"),
    ):
        monkeypatch.setattr(owner, call, refused(call, getattr(owner, call)))
    return found


@pytest.mark.usefixtures("_as_before", "_no_report")
def test_deterministic_runs_agree_and_ask_no_machine(
    datasets: Path,
    tiny_model: list[str],
    load_tool: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    tool = load_tool("train_net")
    left = []
    for name in ("once", "twice"):
        opts = [
            *tiny_model,
            f"train.output_dir={tmp_path / name}",
            "train.deterministic=True",
            "train.max_iter=3",
            "model.backbone.tower.weights=null",
            "dataloader.train.total_batch_size=2",
            "dataloader.train.num_workers=0",
            "dataloader.crop_size=[32,48]",
            "dataloader.test.acdc_fog.num_workers=0",
            "styles.mining.batches.batch_size=2",
            "styles.mining.num_workers=0",
            "styles.mining.miner.pin.steps=1",
            "evaluation.domains=[acdc_fog]",
        ]
        tool.main(
            Namespace(config_file=CONFIG, opts=opts, num_gpus=0, resume=False, eval_only=False)
        )
        assert torch.are_deterministic_algorithms_enabled()
        bank = (tmp_path / name / "style_bank.safetensors").read_bytes()
        left.append((bank, read_checkpoint(tmp_path / name / "model_final.pth")["model"]))
    (bank, weights), (same_bank, same_weights) = left
    assert bank == same_bank
    assert weights.keys() == same_weights.keys()
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert not asked


@pytest.mark.usefixtures("_as_before")
def test_deterministic_computing_leaves_no_choice_to_cudnn() -> None:
    cfg = LazyConfig.load(CONFIG)
    compute_deterministically(cfg)
    assert not cfg.train.cudnn_benchmark
    assert torch.backends.cudnn.deterministic
    assert torch.are_deterministic_algorithms_enabled()


def test_deterministic_computing_from_a_drawn_seed_is_refused() -> None:
    cfg = LazyConfig.load(CONFIG)
    cfg.train.seed = -1
    with pytest.raises(LangDGError, match=r"train\.seed=-1, which draws a new seed"):
        compute_deterministically(cfg)
    assert not torch.are_deterministic_algorithms_enabled()
