"""Logging, seeds, registries and files, on whichever Detectron2 is installed."""

import logging
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import TORCH_VERSION, seed_all_rng
from detectron2.utils.file_io import PathHandler, PathManager
from detectron2.utils.logger import (
    create_small_table,
    log_every_n,
    log_every_n_seconds,
    log_first_n,
    setup_logger,
)
from detectron2.utils.registry import Registry, locate


@pytest.fixture
def clean() -> Iterator[str]:
    """The name of a logger that loses its handlers afterwards."""
    yield "contract"
    logger = logging.getLogger("contract")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    setup_logger.cache_clear()


# logging


def test_a_folder_gets_a_log_file_and_other_ranks_their_own(tmp_path: Path, clean: str) -> None:
    for rank in (0, 2):
        setup_logger(str(tmp_path / "new"), rank, name=clean, configure_stdout=False)
    logging.getLogger(clean + ".part").warning("hello")
    files = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert files == ["log.txt", "log.txt.rank2"]
    for file in files:
        line = (tmp_path / "new" / file).read_text()
        assert re.fullmatch(r"\[\d\d/\d\d \d\d:\d\d:\d\d\] contract\.part WARNING: hello\n", line)


def test_a_file_may_be_named_and_set_up_twice_without_doubling_lines(
    tmp_path: Path, clean: str
) -> None:
    file = tmp_path / "run.log"
    first = setup_logger(str(file), name=clean, configure_stdout=False)
    second = setup_logger(str(file), name=clean, configure_stdout=False)
    assert first is second
    assert (first.level, first.propagate) == (logging.DEBUG, False)
    first.debug("once")
    assert file.read_text().count("once") == 1


def test_the_first_rank_writes_to_stdout_with_names_abbreviated(
    clean: str, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_other_ranks_are_silent_and_color_is_optional(
    clean: str, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logger(distributed_rank=1, name=clean)
    logging.getLogger(clean).info("hidden")
    setup_logger(color=False, name=clean, enable_propagation=True)
    logging.getLogger(clean).info("plain")
    out = capsys.readouterr().out
    assert re.fullmatch(r"\[\S+ \S+\] contract INFO: plain\n", out)
    assert logging.getLogger(clean).propagate is True


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All messages so far."""
    return [record.getMessage() for record in caplog.records]


def test_log_first_n_counts_by_caller_message_or_both(caplog: pytest.LogCaptureFixture) -> None:
    for i in range(4):
        log_first_n(logging.ERROR, f"caller {i}", 2)
        log_first_n(logging.ERROR, f"message {i % 2}", key="message")
        log_first_n(logging.ERROR, f"both {i % 2}", key=("caller", "message"), name="given")
    log_first_n(logging.ERROR, "message 0", key="message")
    log_first_n(logging.ERROR, "both 0", key=("caller", "message"))
    assert sorted(messages(caplog)) == [
        "both 0",
        "both 0",
        "both 1",
        "caller 0",
        "caller 1",
        "message 0",
        "message 1",
    ]
    names = {record.getMessage(): record.name for record in caplog.records}
    assert names["caller 0"] == __name__
    assert names["both 1"] == "given"


def test_log_every_n_logs_the_first_of_each_n(caplog: pytest.LogCaptureFixture) -> None:
    for i in range(7):
        log_every_n(logging.ERROR, f"third {i}", 3)
    for i in range(2):
        log_every_n(logging.ERROR, f"all {i}")
    assert messages(caplog) == ["third 0", "third 3", "third 6", "all 0", "all 1"]


def test_log_every_n_seconds_waits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    for seconds in (0, 3, 5, 2, 3):
        now[0] += seconds
        log_every_n_seconds(logging.ERROR, f"at {now[0] - 1000:g}", 5)
    assert messages(caplog) == ["at 0", "at 8", "at 13"]


def test_a_small_table_has_one_row_with_three_decimals() -> None:
    lines = create_small_table({"mIoU": 48.1512, "fwIoU": 1.0}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["mIoU", "fwIoU"]
    assert cells[2] == ["48.151", "1.000"]
    assert len(cells) == 3


# environment


def test_a_seed_fixes_all_three_generators() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(1).item()

    seed_all_rng(5)
    first = draw()
    assert os.environ["PYTHONHASHSEED"] == "5"
    assert draw() != first
    seed_all_rng(5)
    assert draw() == first
    random.seed(5)
    assert random.random() == first[0]


def test_without_a_seed_a_fresh_one_is_drawn_and_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("detectron2"), "propagate", True)
    with caplog.at_level(logging.INFO):
        seed_all_rng()
    drawn = torch.rand(1)
    (seed,) = re.findall(r"random seed (\d+)", caplog.text)
    seed_all_rng(int(seed))
    assert torch.rand(1) == drawn


def test_the_environment_names_versions() -> None:
    info = collect_env_info()
    for name, version in (("PyTorch", torch.__version__), ("numpy", np.__version__)):
        assert re.search(rf"^{name}\s+{re.escape(version)}", info, re.MULTILINE)
    assert re.search(r"^detectron2\s+0\.6\S* @", info, re.MULTILINE)
    major, minor = torch.__version__.split(".")[:2]
    assert (int(major), int(minor)) == TORCH_VERSION


# registry and files


def test_objects_are_located_by_path() -> None:
    assert locate("torch.nn.Conv2d") is torch.nn.Conv2d
    assert locate("torch.optim.sgd.SGD") is torch.optim.SGD
    assert locate("torch.Tensor.add") is torch.Tensor.add
    for absent in ("torch.nn.Absent", "no_such_package.thing"):
        with pytest.raises(ImportError):
            locate(absent)


def test_a_registry_registers_functions_and_classes_under_their_names() -> None:
    registry = Registry("TOYS")

    @registry.register()
    def ball() -> None: ...

    assert registry.get("ball") is ball
    assert dict(registry) == {"ball": ball}
    with pytest.raises(KeyError, match=r"car.*TOYS"):
        registry.get("car")


def test_paths_may_be_local_or_have_a_handler_of_their_own(tmp_path: Path) -> None:
    class Handler(PathHandler):
        """Serves ``contract://`` from a folder."""

        def _get_supported_prefixes(self) -> list[str]:
            return ["contract://"]

        def _get_local_path(self, path: str, **kwargs: object) -> str:
            return str(tmp_path / path.removeprefix("contract://"))

    PathManager.register_handler(Handler(), allow_override=True)
    PathManager.mkdirs(str(tmp_path / "folder"))
    with PathManager.open(str(tmp_path / "folder" / "file.txt"), "w") as file:
        file.write("text")
    assert PathManager.isfile(str(tmp_path / "folder" / "file.txt"))
    assert PathManager.ls(str(tmp_path)) == ["folder"]
    local = PathManager.get_local_path("contract://folder/file.txt")
    assert Path(local).read_text() == "text"


# one process


def test_a_single_process_communicates_with_itself() -> None:
    assert (comm.get_world_size(), comm.get_rank()) == (1, 0)
    assert (comm.get_local_size(), comm.get_local_rank()) == (1, 0)
    assert comm.is_main_process()
    assert comm.synchronize() is None
    data = {"a": object()}
    assert comm.all_gather(data)[0] is data
    assert comm.gather(data) == [data]
    losses = {"loss": torch.tensor(1.0)}
    assert comm.reduce_dict(losses) is losses
    with pytest.raises(AssertionError, match="create_local_process_group"):
        comm.get_local_process_group()


def test_the_shared_seed_comes_from_numpy() -> None:
    np.random.seed(0)
    first = comm.shared_random_seed()
    np.random.seed(0)
    assert comm.shared_random_seed() == first == np.random.RandomState(0).randint(2**31)
