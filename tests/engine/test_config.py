"""Files that are no config are refused in a line that names them."""

from pathlib import Path

import pytest

from langdg_d2.engine import load_config
from langdg_d2.utils.errors import LangDGError

# name, content -> what the error says beside the name
BAD = {
    "text.txt": ("a = 1", "is not a config file, expected one that ends in .py"),
    "empty.py": ("", "has no train, model, dataloader, evaluation, styles, optimizer"),
    "empty.yaml": ("", "has no train, model, dataloader, evaluation, styles, optimizer"),
    "list.yaml": ("- 1", "has no train, model, dataloader, evaluation, styles, optimizer"),
    "part.py": ("train = dict(seed=1)", "has no model, dataloader"),
    "cut.py": ("train = dict(\n", "'(' was never closed ("),
    "name.py": ("a = 1\nb = c\n", "name.py' line 2: NameError: name 'c' is not defined"),
    "module.py": ("import nowhere\n", "line 1: ModuleNotFoundError: No module named 'nowhere'"),
    "relative.py": ("\nfrom .absent import x\n", "relative.py' line 2: "),
    "deep.py": ("from .name import a\n", "name.py' line 2: NameError: name 'c' is not defined"),
    "cut.yaml": ("train: [1", "cannot be read: while parsing a flow sequence"),
    "zero.py": ("a = 1 / 0\n", "line 1: ZeroDivisionError: division by zero"),
    "bytes.py": ("a = '\0'", "cannot be read: "),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_config_is_refused_by_name(name, tmp_path):
    for each, (text, _) in BAD.items():
        (tmp_path / each).write_text(text)
    with pytest.raises(LangDGError, match=name.replace(".", "[.]")) as caught:
        load_config(str(tmp_path / name))
    message = str(caught.value)
    assert str(tmp_path / name) in message
    assert BAD[name][1] in message
    assert "\n" not in message


def test_what_is_not_there_or_a_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.py' does not exist; .* in configs/"):
        load_config(str(tmp_path / "no.py"))
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(LangDGError, match=r"folder\.py' is not a config file"):
        load_config(str(tmp_path / "folder.py"))
    with pytest.raises(LangDGError, match="there is no config: pass --config-file"):
        load_config("")


def test_code_that_fails_in_a_library_is_told_with_the_line_of_the_config(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text("from langdg_d2.structures import PatchGrid\n\ngrid = PatchGrid(0, 1)\n")
    with pytest.raises(
        LangDGError, match=rf"'{file}' line 3: LangDGError: PatchGrid\(0, 1\) needs"
    ):
        load_config(str(file))


def test_a_config_is_loaded_with_its_overrides():
    file = Path(__file__).parents[2] / "configs/langdg_gta5.py"
    assert load_config(str(file), ["train.max_iter=7"]).lr_scheduler.max_iter == 7
