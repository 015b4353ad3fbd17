"""Trainer hooks: seeds, style augmentation, schedule, signals, evaluation, best weights."""

import logging
import math
import os
import signal
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from torch import Tensor, nn

from ..modeling import LangDGSegmentor
from ..modeling.checkpoint_files import read_checkpoint
from ..styles.mixing import PatchStyleMixer
from ..utils.distributed import without_ddp
from ..utils.errors import LangDGError, require_int
from ..utils.seeding import derived_seed, seed_globally
from .averaging import averaged
from .checkpoint import StrictCheckpointer
from .run_settings import RunSettings

logger = logging.getLogger(__name__)

_SIGNAL_NAMES = ("SIGTERM", "SIGINT", "SIGUSR1")  # Windows lacks the last
SIGNALS = tuple(getattr(signal, name) for name in _SIGNAL_NAMES if hasattr(signal, name))
_METRIC = "source/mIoU"  # selects the best weights
_BEST = "model_best"


class SeededIterations(HookBase):
    """Reseeds the global RNGs in every iteration from (seed, rank, iteration).

    A resumed run thus equals an uninterrupted one. The seed is saved in the trainer's state.

    Args:
        seed: seed of the run. If negative, a resumed run keeps its seed and a new run draws one,
            which is collective.

    Attributes:
        seed: seed in use, never negative.
    """

    def __init__(self, seed: int) -> None:
        self._drawn = seed < 0
        self.seed = comm.shared_random_seed() if self._drawn else seed

    def before_train(self) -> None:
        if self._drawn:
            logger.info("train.seed is negative: using the random seed %d", self.seed)

    def before_step(self) -> None:
        numbers = (self.seed, comm.get_rank(), self.trainer.iter)
        seed_globally(derived_seed(*numbers, purpose="iteration"))

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self._drawn:
            self.seed = state_dict["seed"]


class StyleAugmentationHook(HookBase):
    """Installs a mixer on the model before training and removes it afterwards.

    Draws depend only on torch's seed (set by `SeededIterations`), rank and iteration, so that a
    resumed run draws the same styles.

    Args:
        mixer: mixer that restyles the features.
        probability: probability of restyling an image after the warm-up, in 0..1.
        warmup_iters: number of iterations in which the probability rises linearly from 0.
        log_period: number of iterations between entries in the event storage: `style/probability`
            and the means of `PatchStyleMixer.shares` since the last entry.
    """

    def __init__(
        self, *, mixer: PatchStyleMixer, probability: float, warmup_iters: int, log_period: int
    ) -> None:
        if not 0 <= probability <= 1:
            raise LangDGError(f"probability of restyling is {probability}, expected 0..1")
        require_int("warmup_iters", warmup_iters, 0)
        self.mixer = mixer
        self._probability = probability
        self._warmup_iters = warmup_iters
        self._log_period = log_period
        self._shares: list[dict[str, Tensor]] = []
        self._resumed_styles: dict[str, Any] | None = None
        self.changed: list[str] = []

    def before_train(self) -> None:
        """Load the styles, check that they fit the model, and install the mixer."""
        self.mixer.prepare(self._model.backbone)
        if self._resumed_styles not in (None, self.record()):
            self.changed.append(f"other styles after {self.trainer.start_iter} iterations")
            logger.warning(
                "the resumed run uses other styles than it started with, and results will record "
                "only the new ones: resume with the original bank to avoid this"
            )
        self._model.feature_augmentation = self.mixer

    def before_step(self) -> None:
        numbers = (torch.initial_seed(), comm.get_rank(), self.trainer.iter)
        self.mixer.generator.manual_seed(derived_seed(*numbers, purpose="mixing"))
        progress = (self.trainer.iter + 1) / self._warmup_iters if self._warmup_iters else 1.0
        self.mixer.probability = self._probability * min(1.0, progress)

    def after_step(self) -> None:
        self._shares.append(self.mixer.shares)  # without synchronising the device
        if (self.trainer.iter + 1) % self._log_period == 0:
            put = partial(self.trainer.storage.put_scalar, smoothing_hint=False)
            put("style/probability", self.mixer.probability)
            for name in self.mixer.shares:
                put(f"style/{name}", float(torch.stack([x[name] for x in self._shares]).mean()))
            self._shares = []

    def after_train(self) -> None:
        self._model.feature_augmentation = None

    def state_dict(self) -> dict[str, Any]:
        return {"styles": self.record(), "changed": self.changed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.changed = state_dict.get("changed", [])
        # Compared in before_train, once the bank is loaded.
        self._resumed_styles = state_dict.get("styles")

    def record(self) -> dict[str, Any]:
        """Return the record of the styles for results, see `TargetStyles.record`."""
        return self.mixer.styles.record()

    def report(self) -> dict[str, Any]:
        """Return a report on the styles: "notes", a list of sentences, and "table", by column."""
        return {"notes": [self.mixer.styles.describe()], "table": self.mixer.styles.table()}

    @property
    def _model(self) -> LangDGSegmentor:
        return cast("LangDGSegmentor", without_ddp(self.trainer.model))


class LRScheduler(hooks.LRScheduler):
    """Detectron2's hook, but a resumed run follows the schedule in its own config.

    No state is saved; the schedule is stepped to the first iteration instead.
    """

    def before_train(self) -> None:
        super().before_train()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about steps before the first optimizer step
            for _ in range(self.trainer.start_iter - self.scheduler.last_epoch):
                self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return {}


class TrainingStopped(SystemExit):
    """Training was ended by a signal; the exit code is 128 plus the signal number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class StopOnSignal(HookBase):
    """On SIGTERM, SIGINT or SIGUSR1, finishes the iteration, saves a checkpoint and exits.

    Several processes agree on the iteration by communicating every `period` iterations and in the
    last one; a single process stops after the current iteration. A second SIGINT exits without
    saving. Previous signal handlers are restored after training.

    Args:
        checkpointer: checkpointer of the run.
        period: number of iterations, a multiple of the trainer's log period so that all losses
            have been checked.
    """

    def __init__(self, *, checkpointer: DetectionCheckpointer, period: int) -> None:
        self._checkpointer = checkpointer
        self._period = period
        self._asked = 0  # number of the received signal
        self._interrupts = 0
        self._earlier: dict[int, Any] = {}

    def before_train(self) -> None:
        self._process = os.getpid()
        if threading.current_thread() is threading.main_thread():  # required by Python
            self._earlier = {number: signal.signal(number, self._ask) for number in SIGNALS}

    def after_train(self) -> None:
        while self._earlier:
            signal.signal(*self._earlier.popitem())

    def after_step(self) -> None:
        """Save a checkpoint and raise `TrainingStopped` if a signal was received."""
        number = self._agreed()
        if not number:
            return
        name = "model_final"
        if self.trainer.iter + 1 < self.trainer.max_iter:  # otherwise it is saved already
            self.trainer.log_losses()
            name = f"model_{self.trainer.iter:07d}"
            self._checkpointer.save(name, iteration=self.trainer.iter)
        logger.info(
            "Stopped by %s after iteration %d, saved as '%s.pth' in '%s': repeat the command with "
            "--resume to continue",
            signal.Signals(number).name,
            self.trainer.iter,
            name,
            self._checkpointer.save_dir,
        )
        raise TrainingStopped(number)

    def _agreed(self) -> int:
        if comm.get_world_size() == 1:
            return self._asked
        done = self.trainer.iter + 1
        if done % self._period and done < self.trainer.max_iter:
            return 0
        return max(comm.all_gather(self._asked))

    def _ask(self, number: int, _: Any) -> None:
        if os.getpid() != self._process:  # a data loading worker that inherited the handler
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            raise SystemExit(128 + number)
        self._asked = number


class EvalHook(hooks.EvalHook):
    """Detectron2's hook, but with averaged weights if the run has them (`WeightAverage`).

    The final evaluation runs only after complete training, because other processes would not join
    it after a signal or an error in the last iteration.
    """

    def __init__(self, eval_period: int, eval_function: Callable[[], Any]) -> None:
        super().__init__(eval_period, partial(self._with_averages, eval_function))

    def _with_averages(self, function: Callable[[], Any]) -> Any:
        with averaged(self.trainer):
            return function()

    def after_train(self) -> None:
        # The counter is incremented after the last iteration.
        if self.trainer.iter >= self.trainer.max_iter:
            super().after_train()


class BestWeightsHook(EvalHook):
    """Evaluates every `period` iterations and saves the best weights as `model_best.pth`.

    The file has the weights with their score and the settings and styles of the run; runs do not
    resume from it. A resumed run only replaces it with better weights.

    Args:
        evaluate: returns `{"source": {"mIoU": ...}}` on the main process. Collective.
        period: number of iterations between evaluations; there is always one after the last
            iteration.
        model: model to save.
        output_dir: folder of the file.
        settings: settings of the run.
        validated_on: plain data that identifies the evaluation, such as images and protocol.
            Scores are compared only if it is equal.
    """

    def __init__(
        self,
        *,
        evaluate: Callable[[], Mapping[str, Any]],
        period: int,
        model: nn.Module,
        output_dir: str,
        settings: RunSettings,
        validated_on: Any = None,
    ) -> None:
        require_int("train.best_period", period)
        super().__init__(period, self._keep_best)
        self._evaluate_source = evaluate
        self._checkpointer = StrictCheckpointer(model, output_dir, settings=settings)
        self._validated_on = validated_on
        self._best = -math.inf

    def before_train(self) -> None:
        path = Path(self._checkpointer.save_dir, f"{_BEST}.pth")
        if not (comm.is_main_process() and self.trainer.start_iter and path.is_file()):
            return
        earlier = read_checkpoint(path)
        if earlier.get("validated_on") == self._validated_on:
            self._best = earlier["score"]
            logger.info("Best so far: %s %.2f", _METRIC, self._best)
        else:
            logger.warning(
                "'%s' was selected with other settings or images and will be replaced", path
            )

    def _keep_best(self) -> Mapping[str, Any]:
        results = self._evaluate_source()
        score = results.get("source", {}).get("mIoU", math.nan)  # on the main process only
        if score > self._best:
            self._best = score
            found = {"metric": _METRIC, "score": score, "validated_on": self._validated_on}
            restyling = [h for h in self.trainer._hooks if isinstance(h, StyleAugmentationHook)]
            if restyling:
                found["styles"] = restyling[0].record()
            self._checkpointer.write(_BEST, iteration=self.trainer.iter, **found)
            logger.info("Best so far: %s %.2f", _METRIC, score)
        return results
