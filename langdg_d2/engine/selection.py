"""Keeping the weights that score best on the source's own validation set."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import nn

from ..modeling.checkpoint_files import read_checkpoint
from .checkpoints import StrictCheckpointer
from .hooks import EvalHook

logger = logging.getLogger(__name__)

_METRIC = "source/mIoU"


def selection_hooks(
    *, evaluate: Callable[[], Mapping[str, Any]], period: int, model: nn.Module, output_dir: str
) -> list[HookBase]:
    """Hooks that evaluate every `period` iterations and keep the best weights as `model_best.pth`.

    Args:
        evaluate: gives `{"source": {"mIoU": ...}}`, on the main process; every process calls it.
        period: iterations between evaluations, positive; there is one after the last iteration.
        model: whose weights are kept.
        output_dir: where the file goes.
    """
    evaluation = EvalHook(period, evaluate)
    if not comm.is_main_process():
        return [evaluation]
    weights = _BestWeights(model, output_dir, _METRIC)
    return [evaluation, BestCheckpointer(weights, period, _METRIC)]


class BestCheckpointer(hooks.BestCheckpointer):
    """Detectron2's hook, but a resumed run replaces only what is worse than its own weights."""

    def __init__(self, weights: "_BestWeights", period: int, metric: str) -> None:
        super().__init__(period, weights, metric)
        self._weights = weights

    def before_train(self) -> None:
        if self.trainer.start_iter and (kept := self._weights.kept()):
            self.best_metric, self.best_iter = kept


class _BestWeights(StrictCheckpointer):
    """Weights alone, with their score; never the checkpoint that a run is resumed from."""

    def __init__(self, model: nn.Module, output_dir: str, metric: str) -> None:
        super().__init__(model, output_dir)
        self._metric = metric

    def save(self, name: str, **kwargs: Any) -> None:
        score, _ = get_event_storage().latest()[self._metric]
        super().save(name, metric=self._metric, score=score, **kwargs)

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Nothing is tagged."""

    def kept(self) -> tuple[float, int] | None:
        """Score and iteration of the file that is there, if it was chosen by the same metric."""
        file = Path(self.save_dir, "model_best.pth")
        content = read_checkpoint(file) if file.is_file() else {}
        if content.get("metric") != self._metric:
            return None
        logger.info("Best so far: %s %.2f", self._metric, content["score"])
        return content["score"], content["iteration"]
