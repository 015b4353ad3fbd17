"""Errors of users end all processes, and are told once."""

import os
import socket
import subprocess
import sys
import time
from argparse import Namespace

import pytest
import torch
import torch.distributed as dist
from detectron2.engine import default_argument_parser
from detectron2.utils import comm

from langdg_d2.engine import launch
from langdg_d2.utils.arguments import argument_parser
from langdg_d2.utils.errors import LangDGError


def _fail(args: Namespace) -> None:
    os.dup2(os.open(args.log, os.O_WRONLY | os.O_APPEND), 2)
    if comm.get_rank() not in args.ranks:
        time.sleep(60)
    raise LangDGError(f"what is wrong in {args.ranks}")


@pytest.mark.parametrize("ranks", [(0, 1), (1,)], ids=["all", "another"])
def test_a_user_error_is_reported_once(in_two_processes, tmp_path, ranks):
    log = tmp_path / "errors.txt"
    log.touch()
    with pytest.raises(SystemExit) as stopped:
        in_two_processes(_fail, ranks=ranks, log=str(log))
    assert stopped.value.code == 1
    assert log.read_text() == f"error: what is wrong in {ranks}\n"


def _say_backend(args: Namespace) -> None:
    path = f"{args.folder}/{comm.get_rank()}.txt"
    with open(path, "w") as file:
        file.write(f"{dist.get_backend()} {torch.cuda.is_available()}")


def test_options_are_detectron2s_and_overwrite():
    given = "--config-file c.py --resume --eval-only --num-gpus 2 --num-machines 3 --machine-rank 1"
    arguments = [*given.split(), "--dist-url", "tcp://a:1", "train.seed=1", "--flag"]
    theirs = vars(default_argument_parser().parse_args(arguments))
    assert vars(argument_parser().parse_args(arguments)) == theirs | {"overwrite": False}
    mining = vars(argument_parser(trains=False).parse_args([]))
    assert mining == vars(argument_parser().parse_args([]))
    with pytest.raises(SystemExit, match="2"):
        argument_parser().parse_args(["--resume", "--overwrite"])


def test_processes_of_a_machine_meet_at_a_free_port(in_two_processes, tmp_path):
    args = argument_parser().parse_args(["--num-gpus", "2"])
    taken = default_argument_parser().get_default("dist_url")
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(taken.rpartition(":")[2])))
        other.listen()
        in_two_processes(_say_backend, dist_url=args.dist_url, folder=str(tmp_path))
    assert {path.read_text() for path in tmp_path.iterdir()} == {"gloo False"}


@pytest.mark.parametrize("machines", [1, 2])
def test_an_address_that_is_given_is_used(monkeypatch, machines):
    used = []
    module = sys.modules[launch.__module__]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(module, "detectron2_launch", lambda *_, **how: used.append(how["dist_url"]))
    options = ["--num-gpus", "2", "--num-machines", str(machines)]
    launch(_fail, argument_parser().parse_args([*options, "--dist-url", "tcp://10.0.0.1:5"]))
    assert used == ["tcp://10.0.0.1:5"]
    if machines > 1:
        with pytest.raises(SystemExit, match="several machines need --dist-url"):
            launch(_fail, argument_parser().parse_args(options))


@pytest.mark.parametrize(("device", "visible"), [("cpu", ""), ("cuda", "0,1"), ("gpu", "0,1")])
def test_the_device_of_the_config_says_how_processes_talk(monkeypatch, tmp_path, device, visible):
    sections = ("model", "dataloader", "evaluation", "styles", "optimizer", "lr_scheduler")
    text = "".join(f"{name} = {{}}\n" for name in sections)
    (tmp_path / "config.py").write_text(f"{text}train = dict(device='cuda')\n")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(sys.modules[launch.__module__], "detectron2_launch", lambda *_, **__: None)
    options = ["--config-file", str(tmp_path / "config.py"), "--num-gpus", "2"]
    launch(_fail, argument_parser().parse_args([*options, f"train.device={device}"]))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


TORCHRUN = """
from argparse import Namespace
from detectron2.utils import comm
from langdg_d2.engine import launch
from langdg_d2.utils.arguments import argument_parser
from langdg_d2.utils.errors import LangDGError

def main(args):
    if comm.get_rank() == 1:
        raise LangDGError("what is wrong in 1")
    comm.all_gather(0)

launch(main, Namespace(num_gpus=0, config_file=""))
"""


def test_a_user_error_under_torchrun_ends_all(tmp_path):
    (tmp_path / "script.py").write_text(TORCHRUN)
    starter = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    result = subprocess.run(
        [sys.executable, *starter, str(tmp_path / "script.py")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1
    assert "error: what is wrong in 1" in result.stderr
