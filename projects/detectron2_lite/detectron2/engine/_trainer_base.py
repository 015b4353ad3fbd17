"""The loop over iterations, and what can be hooked into it."""

import logging
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.utils.events import EventStorage

# the public module's name, by which users know these messages
logger = logging.getLogger("detectron2.engine.train_loop")


class HookBase:
    """Something to do at fixed points of training; `trainer` is a weak reference it is given."""

    trainer: Any = None

    def before_train(self) -> None:
        """Before the first iteration."""

    def after_train(self) -> None:
        """After the last iteration, or a failed one."""

    def before_step(self) -> None:
        """Before every iteration."""

    def after_backward(self) -> None:
        """When the gradients are there and not yet used."""

    def after_step(self) -> None:
        """After every iteration."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict`, which a hook with state defines, is given on resuming."""
        return {}


class TrainerBase:
    """A loop with hooks; a subclass defines `run_step`. After success `iter` is `max_iter`."""

    max_iter: int
    storage: EventStorage

    def __init__(self) -> None:
        self._hooks: list[HookBase] = []
        self.iter = 0
        self.start_iter = 0

    def register_hooks(self, hooks: Sequence[HookBase | None]) -> None:
        """Add hooks, leaving out None."""
        for hook in hooks:
            if hook is not None:
                assert isinstance(hook, HookBase), f"{hook!r} is not a HookBase"
                hook.trainer = weakref.proxy(self)  # no cycle: the trainer owns its hooks
                self._hooks.append(hook)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Run the iterations from `start_iter` up to `max_iter`."""
        logger.info(f"Starting training from iteration {start_iter}")
        self.start_iter, self.max_iter, self.iter = start_iter, max_iter, start_iter
        with EventStorage(start_iter) as self.storage:
            try:
                self.before_train()
                while self.iter < max_iter:
                    for part in (self.before_step, self.run_step, self.after_step):
                        part()
                    self.iter += 1
            except Exception:
                logger.exception(f"Exception during training, at iteration {self.iter}:")
                raise
            finally:
                self.after_train()

    def _call_hooks(self, moment: str) -> None:
        self.storage.iter = self.iter
        for hook in self._hooks:
            getattr(hook, moment)()

    def before_train(self) -> None:
        """Call the hooks, as do the next four."""
        self._call_hooks("before_train")

    def after_train(self) -> None:
        self._call_hooks("after_train")

    def before_step(self) -> None:
        self._call_hooks("before_step")

    def after_backward(self) -> None:
        self._call_hooks("after_backward")

    def after_step(self) -> None:
        self._call_hooks("after_step")

    def run_step(self) -> None:
        """One iteration."""
        raise NotImplementedError(f"{type(self).__name__} does not define run_step()")

    def state_dict(self) -> dict[str, Any]:
        """The iteration, and the states of hooks by class: of equal ones, the first."""
        hooks = {
            type(hook).__qualname__: state
            for hook in reversed(self._hooks)
            if (state := hook.state_dict())
        }
        return {"iteration": self.iter, **({"hooks": hooks} if hooks else {})}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state, leaving out hooks that are no longer there."""
        self.iter = state_dict["iteration"]
        for name, state in state_dict.get("hooks", {}).items():
            hook: Any = next((h for h in self._hooks if type(h).__qualname__ == name), None)
            if hook is None:
                logger.warning(f"The state of the hook '{name}' is ignored: there is no such hook")
            else:
                hook.load_state_dict(state)
