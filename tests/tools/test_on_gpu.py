"""On a GPU the processor runs ahead: nothing in an iteration waits for the device."""

from pathlib import Path

import pytest
import torch

from langdg_d2.engine import load_config

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CONFIG = Path(__file__).parents[2] / "configs/langdg_gta5.py"


@pytest.fixture
def waiting_is_an_error():
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_training_iteration_never_waits_for_the_device(
    load_tool, tiny_model, waiting_is_an_error, precision
):
    overrides = [*tiny_model, "train.device=cuda", f"train.precision={precision}"]
    small = ["dataloader.crop_size=[96,96]", "dataloader.train.total_batch_size=2"]
    benchmark = load_tool("benchmark")
    cfg = load_config(str(CONFIG), [*overrides, *small])
    workload = benchmark.train(cfg, benchmark.PhaseTimer("cpu"))
    workload.step()  # what is done once may wait
    waiting_is_an_error()
    workload.step()
