"""The command line."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from streets.looks import LOOKS

_COMMAND = Path(__file__).resolve().parents[1] / "generate.py"


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], None]:
    """The command's entry point."""
    return runpy.run_path(str(_COMMAND))["main"]


def test_command_makes_a_collection_and_refuses_to_mix(
    main: Callable[[list[str]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = ["--train", "1", "--val", "0", "--targets", "1", "--workers", "1"]
    main(["--output", str(tmp_path), "--size", "32x64", *counts])
    assert "9 scenes in" in capsys.readouterr().out
    conditions = {path.name for path in (tmp_path / "acdc/rgb_anon").iterdir()}
    assert conditions == {"fog", "night", "rain", "snow"}
    with pytest.raises(SystemExit, match="height 32 -> 48"):
        main(["--output", str(tmp_path), "--size", "48x64", *counts])


def test_looks_are_chosen_by_name_and_validation_adds_its_own(
    main: Callable[[list[str]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = ["--train", "0", "--val", "0", "--targets", "1", "--workers", "1", "--size", "32x64"]
    main(["--output", str(tmp_path), *counts, "--looks", "fog,dusk", "--validation"])
    assert "4 scenes in" in capsys.readouterr().out
    folders = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert folders == {"acdc", "urbansyn", "idd", "dark_zurich", "gta5"}
    with pytest.raises(SystemExit, match="blizzard"):
        main(["--output", str(tmp_path), *counts, "--looks", "blizzard"])
    with pytest.raises(SystemExit, match="blizzard"):
        main(["--contact-sheet", str(tmp_path / "sheet.png"), "--looks", "blizzard"])


def test_contact_sheet_shows_every_look(main: Callable[[list[str]], None], tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    main(["--contact-sheet", str(sheet), "--size", "32x64", "--scenes", "2"])
    with Image.open(sheet) as picture:
        width, height = picture.size
    assert width >= 64 * len(LOOKS)
    assert height >= 2 * 2 * 32


@pytest.mark.parametrize("arguments", [[], ["--output", "x", "--size", "256"]])
def test_wrong_usage_is_explained(
    arguments: list[str],
    main: Callable[[list[str]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "--output" in capsys.readouterr().err
