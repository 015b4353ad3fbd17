"""The trainer hook that switches local style augmentation on for training."""

import logging
from dataclasses import asdict
from typing import Any

import torch
from detectron2.engine import HookBase
from detectron2.utils import comm
from torch.nn.parallel import DistributedDataParallel

from ..modeling import Identity, LangDGSegmentor
from ..styles.mixing import MixStatistics, PatchStyleMixer
from ..utils.errors import LangDGError
from ..utils.seeding import derived_seed

logger = logging.getLogger(__name__)


class StyleAugmentationHook(HookBase):
    """Installs a mixer on the model before training and removes it afterwards.

    What is drawn depends on torch's seed, which `SeededIterations` sets, the process's rank and the
    iteration alone: it is another for each seed of a run, and the same for a resumed one.

    Args:
        mixer: what restyles the features.
        probability: that an image is restyled, after the warm-up.
        warmup_iters: over how many iterations the probability rises from 0, linearly.
        log_period: iterations between entries in the event storage: `style/restyled_share` of
            patches, `style/mean_weight` of the own style, `style/fallback_share` of patches whose
            class has no style, `style/probability`.

    Raises:
        LangDGError: if one of the three numbers is out of range.
    """

    def __init__(
        self, *, mixer: PatchStyleMixer, probability: float, warmup_iters: int, log_period: int
    ) -> None:
        if not 0 <= probability <= 1:
            raise LangDGError(f"probability {probability} of restyling must be in 0..1")
        if warmup_iters < 0:
            raise LangDGError(f"warmup_iters {warmup_iters} must not be negative; 0 for no warm-up")
        if log_period < 1:
            raise LangDGError(f"log_period {log_period} must be at least one iteration")
        self._mixer = mixer
        self._probability = probability
        self._warmup_iters = warmup_iters
        self._log_period = log_period
        self._total = MixStatistics()
        self._resumed_styles: dict[str, Any] | None = None

    def before_train(self) -> None:
        """Load the styles, check them against the model, install the mixer.

        Raises:
            StyleBankError: if there is no bank, or it was mined for another model.
        """
        self._mixer.styles.prepare(self._model.backbone)
        self._mixer.activation = self._model.backbone.restyle_activation
        if self._resumed_styles not in (None, self.record()):
            logger.warning(
                "the run began with other styles than it goes on with, and its results will name "
                "the latter alone: resume with the bank it began with to have one of one kind"
            )
        self._model.feature_augmentation = self._mixer

    def before_step(self) -> None:
        numbers = (torch.initial_seed(), comm.get_rank(), self.trainer.iter)
        self._mixer.generator.manual_seed(derived_seed(*numbers, purpose="mixing"))
        progress = (self.trainer.iter + 1) / self._warmup_iters if self._warmup_iters else 1.0
        self._mixer.probability = self._probability * min(1.0, progress)

    def after_step(self) -> None:
        if (self.trainer.iter + 1) % self._log_period == 0:
            self._log()

    def after_train(self) -> None:
        self._model.feature_augmentation = Identity()

    def state_dict(self) -> dict[str, Any]:
        self._collect()
        self._total.fallback = int(self._total.fallback)
        return {"total": asdict(self._total), "styles": self.record()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._total = MixStatistics(**state_dict["total"])
        self._resumed_styles = state_dict.get("styles")  # those of now are not loaded yet

    def record(self) -> dict[str, Any]:
        """Where the styles come from, plain data: of a bank its own header, not the config's."""
        return self._mixer.styles.record()

    def report(self) -> str:
        """Markdown: what was restyled on this process, before a resumption too, and with what."""
        self._collect()
        total = self._total
        summary = (
            f"{total.restyled:,} of {total.patches:,} patches were restyled "
            f"({total.restyled_share:.1%}), keeping {total.mean_weight:.1%} of their own style on "
            f"average; {total.fallback_share:.1%} had no style of their class."
        )
        return f"{summary}\n\n{self._mixer.styles.describe()}"

    @property
    def _model(self) -> LangDGSegmentor:
        model = self.trainer.model
        return model.module if isinstance(model, DistributedDataParallel) else model

    def _collect(self) -> MixStatistics:
        """Statistics since the last call, which become part of the total."""
        recent, self._mixer.statistics = self._mixer.statistics, MixStatistics()
        self._total.merge(recent)
        return recent

    def _log(self) -> None:
        recent = self._collect()
        self.trainer.storage.put_scalars(
            smoothing_hint=False,
            **{
                "style/restyled_share": recent.restyled_share,
                "style/mean_weight": recent.mean_weight,
                "style/fallback_share": recent.fallback_share,
                "style/probability": self._mixer.probability,
            },
        )
