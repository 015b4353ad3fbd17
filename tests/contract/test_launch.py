"""Two processes on the CPU, started by launch, on whichever Detectron2 is installed.

The workers live in a script of their own, since started processes import what they run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

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
from detectron2.engine import HookBase, SimpleTrainer, create_ddp_model, launch
from detectron2.layers import NaiveSyncBatchNorm
from detectron2.utils import comm


class Weight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, data):
        return {"loss_a": self.weight * data, "loss_b": self.weight.detach() * data}


class Recorder(HookBase):
    def __init__(self):
        self.weights = []

    def after_step(self):
        self.weights.append(self.trainer.model.module.weight.item())


def train(rank, folder):
    model = create_ddp_model(Weight(), device_ids=None)
    data = [float(rank + 1), float("nan") if rank else 1.0]
    trainer = SimpleTrainer(model, data, torch.optim.SGD(model.parameters(), lr=0.1))
    recorder, error = Recorder(), ""
    trainer.register_hooks([recorder])
    try:
        trainer.train(0, 2)
    except FloatingPointError as found:
        error = str(found)
    latest = {k: v.values()[0] for k, v in trainer.storage.histories().items() if "loss" in k}
    DetectionCheckpointer(model, folder).save("model", rank=rank)
    return dict(error=error, wrapped=type(model).__name__, weights=recorder.weights, losses=latest)


def main(folder):
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
    images = torch.arange(12.0).reshape(3, 2, 2, 1)
    mine = images[2:] if rank else images[:2]
    norm = NaiveSyncBatchNorm(2)
    output = norm(mine.requires_grad_())
    (output * mine.detach() ** 2).sum().backward()
    out["norm"] = [output.tolist(), mine.grad.tolist(), norm.running_var.tolist()]
    out.update(train(rank, folder))
    with open(f"{folder}/{rank}.json", "w") as file:
        json.dump(out, file)
    comm.synchronize()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    launch(main, 2, dist_url="auto", args=(sys.argv[1],))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
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
def seen(folder):
    """What each rank saw."""
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_the_processes_know_their_place_and_gather_by_rank(seen):
    assert [rank["world"] for rank in seen] == [[2, 2, 0], [2, 2, 1]]
    assert [rank["main"] for rank in seen] == [True, False]
    assert [rank["all_gather"] for rank in seen] == [[{"rank": 0}, {"rank": 1}]] * 2
    assert [rank["gather"] for rank in seen] == [[0, 1], []]
    assert [rank["gather_to_last"] for rank in seen] == [[], [0, 1]]
    assert seen[0]["seed"] == seen[1]["seed"]


def test_naive_sync_norm_takes_the_mean_of_the_processes_moments(seen):
    images = torch.arange(12.0).reshape(3, 2, 2, 1).requires_grad_()
    parts = images[:2], images[2:]
    mean, square = [
        sum((part**power).mean((0, 2, 3), keepdim=True) for part in parts) / 2 for power in (1, 2)
    ]
    var = square - mean**2
    normalized = (images - mean) * (var + 1e-5).rsqrt()
    (normalized * images.detach() ** 2).sum().backward()
    outputs, gradients, variances = [
        [torch.tensor(value) for value in values]
        for values in zip(*(rank["norm"] for rank in seen), strict=True)
    ]
    assert torch.allclose(torch.cat(outputs), normalized, atol=1e-4)
    assert torch.allclose(torch.cat(gradients), images.grad, atol=1e-3)
    assert torch.allclose(variances[0], 0.9 + 0.1 * var.flatten(), atol=1e-4)
    assert torch.equal(*variances)


def test_the_processes_train_one_model_until_a_loss_is_not_finite_in_one(seen):
    assert [rank["wrapped"] for rank in seen] == ["DistributedDataParallel"] * 2
    # the first loss has the gradients 1 and 2; the second loss is nan in the second process
    assert seen[0]["weights"] == [pytest.approx(1 - 0.1 * 1.5)]
    assert seen[1]["weights"][0] == seen[0]["weights"][0]
    assert seen[0]["losses"] == {"total_loss": [3.0, 0], "loss_a": [1.5, 0], "loss_b": [1.5, 0]}
    assert seen[1]["losses"] == {}
    assert ["iteration=1" in rank["error"] for rank in seen] == [True, False]


def test_only_the_first_process_saves(folder):
    saved = torch.load(folder / "model.pth", weights_only=True)
    assert saved["rank"] == 0
    assert list(saved["model"]) == ["weight"]


def test_one_process_runs_in_this_one():
    calls = []
    launch(lambda *args: calls.append(args), 1, args=(1, 2))
    assert calls == [(1, 2)]
    assert DEFAULT_TIMEOUT.total_seconds() == 1800
    with pytest.raises(AssertionError, match="auto"):
        launch(print, 1, num_machines=2, dist_url="auto")
