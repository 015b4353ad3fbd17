"""Files that are no config are refused in a line that names them."""

from pathlib import Path

import pytest

from langdg_d2.engine import load_config
from langdg_d2.utils.errors import LangDGError

SECTIONS = "lacks train, model, dataloader, evaluation, styles, optimizer"
# name, content -> what the error says beside the name
BAD = {
    "text.txt": ("a = 1", "with a file that ends in .py, .yaml"),
    "empty.py": ("", SECTIONS),
    "empty.yaml": ("", SECTIONS),
    "list.yaml": ("- 1", SECTIONS),
    "part.py": ("train = dict(seed=1)", "lacks model, dataloader"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_config_is_refused_by_name(name, tmp_path):
    content, words = BAD[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(LangDGError) as caught:
        load_config(str(tmp_path / name))
    message = str(caught.value)
    assert str(tmp_path / name) in message
    assert words in message
    assert "\n" not in message


def test_what_is_not_there_or_a_folder_is_refused(tmp_path):
    (tmp_path / "folder.py").mkdir()
    for name in (str(tmp_path / "no.py"), str(tmp_path / "folder.py"), ""):
        with pytest.raises(LangDGError, match=f"there is no config file '{name}': pass --config"):
            load_config(name)


def test_code_that_fails_keeps_its_traceback(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text("a = 1\nb = c\n")
    with pytest.raises(NameError, match="'c' is not defined") as caught:
        load_config(str(file))
    assert str(caught.traceback[-1].path) == str(file)


def test_a_config_is_loaded_with_its_overrides():
    file = Path(__file__).parents[2] / "configs/langdg_gta5.py"
    assert load_config(str(file), ["train.max_iter=7"]).lr_scheduler.max_iter == 7
