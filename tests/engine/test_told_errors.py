"""A command ends with a line for what its user can help, with a traceback for all else."""

import sys

import pytest
from torch.utils.data import DataLoader

from langdg_d2.data import DatasetError, ImageFileError
from langdg_d2.engine import told_errors
from langdg_d2.modeling import ClipWeightsError


def _fail(_: list[None]) -> None:
    raise ImageFileError("'a.png' is cut off")


@pytest.mark.parametrize(
    "kind",
    [FileNotFoundError, ImportError, ValueError, ClipWeightsError, DatasetError, ImageFileError],
)
def test_an_expected_error_ends_the_command_with_its_message(kind: type[Exception]) -> None:
    with pytest.raises(SystemExit) as stopped, told_errors():
        raise kind("what is wrong")
    assert stopped.value.code == "error: what is wrong"


def test_a_key_error_is_told_without_quotation_marks_and_the_prefix_can_be_chosen() -> None:
    with pytest.raises(SystemExit) as stopped, told_errors(prefix="tool"):
        raise KeyError("no key 'a'")
    assert stopped.value.code == "tool: no key 'a'"


def test_an_error_in_a_loaders_worker_is_told_without_its_traceback() -> None:
    loader = DataLoader([None], collate_fn=_fail, num_workers=1)
    with pytest.raises(ImageFileError, match="Original Traceback"):
        next(iter(loader))
    with pytest.raises(SystemExit) as stopped, told_errors():
        next(iter(loader))
    assert stopped.value.code == "error: 'a.png' is cut off"


def test_development_mode_shows_where_an_error_comes_from(monkeypatch) -> None:
    monkeypatch.setattr(sys.modules[told_errors.__module__], "_is_dev_mode", lambda: True)
    with pytest.raises(ValueError, match="what is wrong"), told_errors():
        raise ValueError("what is wrong")


def test_other_errors_pass_unless_they_are_named() -> None:
    with pytest.raises(ZeroDivisionError), told_errors(OverflowError):
        raise ZeroDivisionError
    with pytest.raises(SystemExit, match="error: by nothing"), told_errors(ZeroDivisionError):
        raise ZeroDivisionError("by nothing")
