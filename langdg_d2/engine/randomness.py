"""What a run's random numbers depend on: its seed, and what they are for."""

import logging
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from ..utils.seeding import derived_seed, seed_globally

logger = logging.getLogger(__name__)


def seed_weights(seed: int) -> None:
    """Before weights are drawn: they depend on the seed, and not on what was done before.

    A negative seed leaves the randomness as it is, drawn at the start.
    """
    if seed >= 0:
        seed_globally(derived_seed(seed, purpose="weights"))


class SeededIterations(HookBase):
    """Starts global randomness anew for each iteration, from the seed, the rank and its number.

    A resumed run then draws what an unbroken one draws, and evaluations in between change nothing.
    The seed is part of the trainer's state.

    Args:
        seed: a negative one stands for that of the run that is resumed, or else for one that is
            drawn; then every process must make this hook.

    Attributes:
        seed: what is used, never negative.
    """

    def __init__(self, seed: int) -> None:
        self._drawn = seed < 0
        self.seed = comm.shared_random_seed() if self._drawn else seed

    def before_train(self) -> None:
        if self._drawn:
            logger.info("The seed is %d, drawn as the config wants it", self.seed)

    def before_step(self) -> None:
        numbers = (self.seed, comm.get_rank(), self.trainer.iter)
        seed_globally(derived_seed(*numbers, purpose="iteration"))

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self._drawn:
            self.seed = state_dict["seed"]
        elif self.seed != state_dict["seed"]:
            logger.warning(
                "the run began with train.seed=%d and goes on with train.seed=%d",
                state_dict["seed"],
                self.seed,
            )
