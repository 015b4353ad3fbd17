"""A command ends with a line for what its user can help, with a traceback for all else."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from langdg_d2.data import DatasetError, ImageFileError
from langdg_d2.engine import told_errors
from langdg_d2.modeling import ClipWeightsError


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


def test_an_override_that_cannot_be_parsed_is_told() -> None:
    parser = OverridesParser.create()
    with pytest.raises(OverrideParseException):
        parser.parse_overrides(["a b"])
    with pytest.raises(SystemExit, match="error: "), told_errors():
        parser.parse_overrides(["a b"])


def test_other_errors_pass_unless_they_are_named() -> None:
    with pytest.raises(ZeroDivisionError), told_errors(OverflowError):
        raise ZeroDivisionError
    with pytest.raises(SystemExit, match="error: by nothing"), told_errors(ZeroDivisionError):
        raise ZeroDivisionError("by nothing")
