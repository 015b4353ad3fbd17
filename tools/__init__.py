"""Command-line tools; `pip` installs four of them as `langdg-train`, `langdg-mine` and so on."""

import runpy


def train() -> None:
    """Run `train_net.py` as `langdg-train`."""
    _run("train_net")


def mine() -> None:
    """Run `mine_styles.py` as `langdg-mine`."""
    _run("mine_styles")


def demo() -> None:
    """Run `demo.py` as `langdg-demo`."""
    _run("demo")


def check() -> None:
    """Run `check_dataset.py` as `langdg-check`."""
    _run("check_dataset")


def _run(name: str) -> None:
    # Run as the main module, like `python -m`, so that commands parse their options first.
    runpy.run_module(f"{__name__}.{name}", run_name="__main__", alter_sys=True)
