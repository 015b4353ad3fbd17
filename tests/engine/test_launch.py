"""Errors of users end all processes, and are told once."""

import os
import time
from argparse import Namespace

import pytest
from detectron2.utils import comm


def _fail(args: Namespace) -> None:
    os.dup2(os.open(args.log, os.O_WRONLY | os.O_APPEND), 2)
    if comm.get_rank() not in args.ranks:
        time.sleep(60)
    raise ValueError(f"what is wrong in {args.ranks}")


@pytest.mark.parametrize("ranks", [(0, 1), (1,)], ids=["all", "another"])
def test_an_error_of_a_user_is_told_once(in_two_processes, tmp_path, ranks):
    log = tmp_path / "errors.txt"
    log.touch()
    with pytest.raises(SystemExit) as stopped:
        in_two_processes(_fail, ranks=ranks, log=str(log))
    assert stopped.value.code == 1
    assert log.read_text() == f"error: what is wrong in {ranks}\n"
