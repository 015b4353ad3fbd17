"""Logging, seeds, names and a single process, on whichever Detectron2 is installed."""

import logging
import os
import random
import re

import numpy as np
import pytest
import torch
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import TORCH_VERSION, seed_all_rng
from detectron2.utils.logger import log_every_n_seconds, log_first_n, setup_logger
from detectron2.utils.registry import locate


@pytest.fixture
def clean():
    """The name of a logger that loses its handlers afterwards."""
    yield "contract"
    logger = logging.getLogger("contract")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    setup_logger.cache_clear()


# logging


def test_a_folder_gets_a_log_file_and_other_ranks_their_own(tmp_path, clean):
    for rank in (0, 2):
        setup_logger(str(tmp_path / "new"), rank, name=clean, configure_stdout=False)
    logging.getLogger(clean + ".part").warning("hello")
    files = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert files == ["log.txt", "log.txt.rank2"]
    for file in files:
        line = (tmp_path / "new" / file).read_text()
        assert re.fullmatch(r"\[\d\d/\d\d \d\d:\d\d:\d\d\] contract\.part WARNING: hello\n", line)


def test_a_file_may_be_named_and_set_up_twice_without_doubling_lines(tmp_path, clean):
    file = tmp_path / "run.log"
    for _ in range(2):
        logger = setup_logger(str(file), name=clean, configure_stdout=False)
    assert (logger.level, logger.propagate) == (logging.DEBUG, False)
    logger.debug("once")
    assert file.read_text().count("once") == 1


def test_the_first_rank_writes_to_stdout_with_names_abbreviated(clean, capsys):
    setup_logger(name=clean, abbrev_name="c")
    logger = logging.getLogger(clean + ".part")
    logger.info("fine")
    logger.warning("odd")
    logger.error("bad")
    lines = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out).splitlines()
    assert [re.sub(r"\d\d/\d\d \d\d:\d\d:\d\d", "now", line) for line in lines] == [
        "[now c.part]: fine",
        "WARNING [now c.part]: odd",
        "ERROR [now c.part]: bad",
    ]


def test_other_ranks_are_silent_and_color_is_optional(clean, capsys):
    setup_logger(distributed_rank=1, name=clean)
    logging.getLogger(clean).info("hidden")
    setup_logger(color=False, name=clean, enable_propagation=True)
    logging.getLogger(clean).info("plain")
    out = capsys.readouterr().out
    assert re.fullmatch(r"\[\S+ \S+\] contract INFO: plain\n", out)
    assert logging.getLogger(clean).propagate is True


def test_log_first_n_counts_by_the_line_of_the_call(caplog):
    for i in range(4):
        log_first_n(logging.ERROR, f"twice {i}", 2)
        log_first_n(logging.ERROR, f"once {i}", name="given")
    assert caplog.messages == ["twice 0", "once 0", "twice 1"]
    assert [record.name for record in caplog.records] == [__name__, "given", __name__]


def test_log_every_n_seconds_waits(caplog, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    for seconds in (0, 3, 5, 2, 3):
        now[0] += seconds
        log_every_n_seconds(logging.ERROR, f"at {now[0] - 1000:g}", 5)
    assert caplog.messages == ["at 0", "at 8", "at 13"]


# environment


def test_a_seed_fixes_all_three_generators():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    seed_all_rng(5)
    first = draw()
    assert os.environ["PYTHONHASHSEED"] == "5"
    assert draw() != first
    seed_all_rng(5)
    assert draw() == first


def test_without_a_seed_a_fresh_one_is_drawn_and_logged(caplog):
    with caplog.at_level(logging.INFO):
        seed_all_rng()
    drawn = torch.rand(1)
    (seed,) = re.findall(r"random seed (\d+)", caplog.text)
    seed_all_rng(int(seed))
    assert torch.rand(1) == drawn


def test_the_environment_names_versions():
    info = collect_env_info()
    for name, version in (("PyTorch", torch.__version__), ("numpy", np.__version__)):
        assert re.search(rf"^{name}\s+{re.escape(version)}", info, re.MULTILINE)
    assert re.search(r"^detectron2\s+0\.6\S* @", info, re.MULTILINE)
    major, minor = torch.__version__.split(".")[:2]
    assert (int(major), int(minor)) == TORCH_VERSION


def test_objects_are_located_by_path():
    assert locate("torch.nn.Conv2d") is torch.nn.Conv2d
    assert locate("torch.optim.sgd.SGD") is torch.optim.SGD
    assert locate("torch.Tensor.add") is torch.Tensor.add
    for absent in ("torch.nn.Absent", "no_such_package.thing"):
        with pytest.raises(ImportError):
            locate(absent)


# one process


def test_a_single_process_communicates_with_itself():
    assert (comm.get_world_size(), comm.get_rank()) == (1, 0)
    assert (comm.get_local_size(), comm.get_local_rank()) == (1, 0)
    assert comm.is_main_process()
    assert comm.synchronize() is None
    data = {"a": object()}
    assert comm.all_gather(data)[0] is data
    assert comm.gather(data) == [data]
    np.random.seed(0)
    assert comm.shared_random_seed() == np.random.RandomState(0).randint(2**31)
    with pytest.raises(AssertionError, match="create_local_process_group"):
        comm.get_local_process_group()
