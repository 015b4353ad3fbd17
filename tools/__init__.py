"""Commands of the package; `pip` installs four of them under the names of these functions."""

import runpy


def train() -> None:
    """Run `langdg-train`, which is `train_net.py`."""
    _run("train_net")


def mine() -> None:
    """Run `langdg-mine`, which is `mine_styles.py`."""
    _run("mine_styles")


def demo() -> None:
    """Run `langdg-demo`, which is `demo.py`."""
    _run("demo")


def check() -> None:
    """Run `langdg-check`, which is `check_dataset.py`."""
    _run("check_dataset")


def _run(name: str) -> None:
    # As `python -m` does: run as the main module, commands parse their options first.
    runpy.run_module(f"{__name__}.{name}", run_name="__main__", alter_sys=True)
