"""LazyConfig files, read with the errors in them told in a line."""

import traceback
from collections.abc import Sequence
from pathlib import Path

import detectron2.config
from detectron2.config import LazyConfig
from detectron2.utils.file_io import PathManager
from omegaconf import DictConfig

import langdg_d2

from ..utils.errors import LangDGError
from .overrides import apply_overrides

_SUFFIXES = (".py", ".yaml", ".yml")
_SECTIONS = ("train", "model", "dataloader", "evaluation", "styles", "optimizer", "lr_scheduler")


def load_config(config_file: str, overrides: Sequence[str] = ()) -> DictConfig:
    """A config with overrides, as of `apply_overrides`.

    Args:
        config_file: LazyConfig file. It is Python code: use only those you trust.
        overrides: changes of the config.

    Raises:
        FileNotFoundError: if there is no such file.
        LangDGError: if none is named, it is another kind of file, or its code fails; names file and
            line.
        LangDGError: for an override of a key that does not exist.
    """
    if not config_file:
        raise LangDGError("there is no config: pass --config-file, such as configs/langdg_gta5.py")
    if not PathManager.exists(config_file):
        raise FileNotFoundError(
            f"config file '{config_file}' does not exist; there are some in configs/"
        )
    if not PathManager.isfile(config_file) or Path(config_file).suffix not in _SUFFIXES:
        raise LangDGError(
            f"'{config_file}' is no config file, expected one that ends in {', '.join(_SUFFIXES)}"
        )
    try:
        cfg = LazyConfig.load(config_file)
    except Exception as error:  # whatever the code in it raises
        raise LangDGError(
            f"config file '{config_file}' cannot be read: {_place(error)}{_reason(error)}"
        ) from error
    if missing := [name for name in _SECTIONS if name not in (cfg or ())]:
        raise LangDGError(
            f"config file '{config_file}' has no {', '.join(missing)}: it is a part of configs, "
            "expected a whole one such as configs/langdg_gta5.py"
        )
    return apply_overrides(cfg, overrides)


def _reason(error: Exception) -> str:
    """An error's text in a line, with that of the mistake in writing that it may come from."""
    cause = error.__cause__ if isinstance(error.__cause__, SyntaxError) else ""
    return " ".join(f"{error} {cause}".split())


def _place(error: Exception) -> str:
    """File and line of the code that failed, and the error's kind; "" if no code was run."""
    if isinstance(error, SyntaxError):
        return ""  # its text has them
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_config(Path(frame.filename))]
    return f"'{own[-1].filename}' line {own[-1].lineno}: {type(error).__name__}: " if own else ""


def _is_config(file: Path) -> bool:
    """Whether a file belongs neither to a package that configs use nor to the reader of configs."""
    own = {Path(str(package.__file__)).parent for package in (langdg_d2, detectron2.config)}
    installed = {"site-packages", "dist-packages"} & {*file.parts}
    return file.is_file() and not installed and not own & {*file.parents}
