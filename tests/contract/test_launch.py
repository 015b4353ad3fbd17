"""Two processes on the CPU, started by launch, on whichever Detectron2 is installed.

The workers live in a script of their own, since started processes import what they run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import detectron2
import pytest
import torch
from detectron2.engine import DEFAULT_TIMEOUT, launch

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="launch gives every process a GPU where there are any"
)

SCRIPT = """
import json, sys
import numpy as np
import torch
from torch import nn
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import SimpleTrainer, create_ddp_model, hooks, launch
from detectron2.layers import NaiveSyncBatchNorm
from detectron2.utils import comm


class Weight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, data):
        return {"loss_a": self.weight * data, "loss_b": self.weight.detach() * data}


def train(rank, folder):
    model = create_ddp_model(Weight(), device_ids=None)
    data = [float(rank + 1), float("nan") if rank else 1.0]
    trainer = SimpleTrainer(model, data, torch.optim.SGD(model.parameters(), lr=0.1))
    hook = hooks.CallbackHook(after_step=lambda t: weights.append(model.module.weight.item()))
    weights, error = [], ""
    trainer.register_hooks([hook])
    try:
        trainer.train(0, 2)
    except FloatingPointError as found:
        error = str(found)
    latest = {k: v.values()[0] for k, v in trainer.storage.histories().items() if "loss" in k}
    DetectionCheckpointer(model, folder, rank=State(rank)).save("model")
    return dict(error=error, wrapped=type(model).__name__, weights=weights, losses=latest)


def main(folder, sizes):
    rank = comm.get_rank()
    np.random.seed(rank)
    out = {
        "world": [comm.get_world_size(), comm.get_local_size(), comm.get_local_rank()],
        "main": comm.is_main_process(),
        "all_gather": comm.all_gather({"rank": rank}),
        "gather": comm.gather(rank),
        "gather_to_last": comm.gather(rank, dst=1),
        "seed": comm.shared_random_seed(),
    }
    losses = {"b": torch.tensor(2.0 + rank), "a": torch.tensor(10.0 * rank)}
    for name, average in (("mean", True), ("sum", False)):
        reduced = comm.reduce_dict({k: v.clone() for k, v in losses.items()}, average)
        out[name] = {key: value.item() for key, value in reduced.items()}
    images = torch.arange(12.0).reshape(3, 2, 2, 1)
    mine = images[: sizes[0]] if rank == 0 else images[sizes[0] :]
    for mode in ("", "N"):
        norm = NaiveSyncBatchNorm(2, stats_mode=mode)
        mine.requires_grad_().grad = None
        (norm(mine) * mine.detach() ** 2).sum().backward()
        out["norm" + mode] = [norm(mine).tolist(), mine.grad.tolist(), norm.running_var.tolist()]
        mine = mine.detach()
    np_state = comm.all_gather(np.random.rand())
    out.update(train(rank, folder), differ=np_state[0] != np_state[1])
    comm.synchronize()
    with open(f"{folder}/{rank}.json", "w") as file:
        json.dump(out, file)


class State:
    def __init__(self, rank):
        self.rank = rank

    def state_dict(self):
        return {"rank": self.rank}


if __name__ == "__main__":
    launch(main, 2, dist_url="auto", args=(sys.argv[1], [2, 1]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the two processes have left what they saw."""
    folder = tmp_path_factory.mktemp("launch")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    source = str(Path(detectron2.__file__).parents[1])
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(script), str(folder)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> list[dict[str, Any]]:
    """What each rank saw."""
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_the_processes_know_their_place(seen: list[dict[str, Any]]) -> None:
    assert [rank["world"] for rank in seen] == [[2, 2, 0], [2, 2, 1]]
    assert [rank["main"] for rank in seen] == [True, False]


def test_gathering_orders_by_rank(seen: list[dict[str, Any]]) -> None:
    assert [rank["all_gather"] for rank in seen] == [[{"rank": 0}, {"rank": 1}]] * 2
    assert [rank["gather"] for rank in seen] == [[0, 1], []]
    assert [rank["gather_to_last"] for rank in seen] == [[], [0, 1]]


def test_the_shared_seed_is_that_of_the_first_process(seen: list[dict[str, Any]]) -> None:
    assert seen[0]["seed"] == seen[1]["seed"]
    assert seen[0]["differ"]


def test_reduced_values_are_right_in_the_first_process(seen: list[dict[str, Any]]) -> None:
    assert seen[0]["mean"] == {"a": 5.0, "b": 2.5}
    assert seen[0]["sum"] == {"a": 10.0, "b": 5.0}


@pytest.mark.parametrize("mode", ["", "N"])
def test_naive_sync_norm_equals_one_process_with_the_weighted_batch(
    seen: list[dict[str, Any]], mode: str
) -> None:
    images = torch.arange(12.0).reshape(3, 2, 2, 1).requires_grad_()
    parts = images[:2], images[2:]
    weights = (2 / 3, 1 / 3) if mode == "N" else (1 / 2, 1 / 2)
    moments = [
        sum(
            w * (part**power).mean((0, 2, 3), keepdim=True)
            for w, part in zip(weights, parts, strict=True)
        )
        for power in (1, 2)
    ]
    var = moments[1] - moments[0] ** 2
    normalized = (images - moments[0]) * (var + 1e-5).rsqrt()
    (normalized * images.detach() ** 2).sum().backward()
    (output, gradient, variance), (output_1, gradient_1, variance_1) = [
        [torch.tensor(value) for value in rank[f"norm{mode}"]] for rank in seen
    ]
    assert torch.allclose(torch.cat([output, output_1]), normalized, atol=1e-4)
    assert torch.allclose(torch.cat([gradient, gradient_1]), images.grad, atol=1e-3)
    # two forward passes with momentum 0.1
    assert torch.allclose(variance, 0.81 + 0.19 * var.flatten(), atol=1e-4)
    assert torch.equal(variance, variance_1)


def test_the_processes_train_one_model_on_the_mean_gradient(seen: list[dict[str, Any]]) -> None:
    assert [rank["wrapped"] for rank in seen] == ["DistributedDataParallel"] * 2
    # the first loss has the gradients 1 and 2; the second loss is nan in the second process
    assert seen[0]["weights"] == [pytest.approx(1 - 0.1 * 1.5)]
    assert seen[1]["weights"][0] == seen[0]["weights"][0]
    assert seen[0]["losses"] == {"total_loss": [3.0, 0], "loss_a": [1.5, 0], "loss_b": [1.5, 0]}
    assert seen[1]["losses"] == {}


def test_a_loss_that_is_not_finite_in_any_process_stops_the_first(
    seen: list[dict[str, Any]],
) -> None:
    assert "iteration=1" in seen[0]["error"]
    assert seen[1]["error"] == ""


def test_only_the_first_process_saves(folder: Path) -> None:
    saved = torch.load(folder / "model.pth", weights_only=True)
    assert saved["rank"] == {"rank": 0}
    assert list(saved["model"]) == ["weight"]


def test_one_process_runs_in_this_one() -> None:
    calls: list[tuple[int, ...]] = []
    launch(lambda *args: calls.append(args), 1, args=(1, 2))
    assert calls == [(1, 2)]
    assert DEFAULT_TIMEOUT.total_seconds() == 1800


def test_automatic_addresses_are_for_one_machine() -> None:
    with pytest.raises(AssertionError, match="auto"):
        launch(print, 1, num_machines=2, dist_url="auto")
