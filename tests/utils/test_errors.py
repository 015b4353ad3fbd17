"""A command ends with a line for what its user can mend, with a traceback for all else."""

import logging
import sys

import pytest
from detectron2.engine import TrainerBase
from detectron2.utils.logger import setup_logger
from torch.utils.data import DataLoader

from langdg_d2.data import DatasetError, ImageFileError
from langdg_d2.modeling import ClipWeightsError
from langdg_d2.utils.errors import LangDGError, report_errors, require_int


def _fail(_: list[None]) -> None:
    raise ImageFileError("'a.png' is cut off")


@pytest.mark.parametrize(
    "kind",
    [FileNotFoundError, ImportError, LangDGError, ClipWeightsError, DatasetError, ImageFileError],
)
def test_an_expected_error_ends_the_command_with_its_message(kind: type[Exception]) -> None:
    with pytest.raises(SystemExit) as stopped, report_errors():
        raise kind("what is wrong")
    assert stopped.value.code == "error: what is wrong"


def test_loader_worker_error_has_no_traceback() -> None:
    loader = DataLoader([None], collate_fn=_fail, num_workers=1)
    with pytest.raises(ImageFileError, match="Original Traceback"):
        next(iter(loader))
    with pytest.raises(SystemExit) as stopped, report_errors():
        next(iter(loader))
    assert stopped.value.code == "error: 'a.png' is cut off"


def test_log_ends_with_error_and_traceback(tmp_path) -> None:
    setup_logger(str(tmp_path), name="langdg_d2", configure_stdout=False)
    with pytest.raises(SystemExit), report_errors():
        raise LangDGError("what is wrong")
    log = (tmp_path / "log.txt").read_text()
    assert "ERROR: what is wrong\nTraceback" in log
    assert log.endswith("utils.errors.LangDGError: what is wrong\n")


def test_a_log_that_cannot_be_written_hides_no_error(tmp_path, capsys) -> None:
    (tmp_path / "log.txt").touch()
    handler = logging.StreamHandler((tmp_path / "log.txt").open())  # for reading alone
    logging.getLogger("langdg_d2").addHandler(handler)
    try:
        with pytest.raises(SystemExit, match="error: what is wrong"), report_errors():
            raise LangDGError("what is wrong")
    finally:
        logging.getLogger("langdg_d2").removeHandler(handler)
    assert "Traceback" not in capsys.readouterr().err


class _Failing(TrainerBase):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def run_step(self) -> None:
        raise self._error


@pytest.mark.parametrize(("kind", "expected"), [(LangDGError, True), (ValueError, False)])
def test_training_shows_tracebacks_of_unexpected_errors_only(kind, expected, caplog):
    with pytest.raises((SystemExit, kind)), report_errors():
        _Failing(kind("what is wrong")).train(0, 1)
    (record,) = [
        r for r in caplog.records if r.getMessage().startswith("Exception during training")
    ]
    assert (record.exc_info is None) is expected


def test_development_mode_shows_where_an_error_comes_from(monkeypatch) -> None:
    monkeypatch.setattr(sys.modules[report_errors.__module__], "_is_dev_mode", lambda: True)
    with pytest.raises(LangDGError, match="what is wrong"), report_errors():
        raise LangDGError("what is wrong")


@pytest.mark.parametrize("kind", [ValueError, KeyError, ZeroDivisionError])
def test_bugs_keep_their_tracebacks(kind: type[Exception]) -> None:
    with pytest.raises(kind), report_errors():
        raise kind


@pytest.mark.parametrize("value", [0, 5, 1.5, 2.0, True, None, "2"])
def test_a_setting_is_a_whole_number_within_bounds(value: object) -> None:
    with pytest.raises(LangDGError, match=f"^n is {value!r}, expected a whole number from 1 to 4$"):
        require_int("n", value, 1, 4)
    for allowed in (1, 4):
        require_int("n", allowed, 1, 4)


def test_a_setting_without_an_upper_bound_may_be_large() -> None:
    require_int("n", 1 << 70)
    with pytest.raises(LangDGError, match="^n is -1, expected a whole number of 0 or more$"):
        require_int("n", -1, 0)
