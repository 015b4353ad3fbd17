"""The loop over iterations, and what can be hooked into it."""

import logging
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.utils.events import EventStorage

# the public module's name, by which users know and filter these messages
logger = logging.getLogger("detectron2.engine.train_loop")


class HookBase:
    """Something to do at fixed points of training; every method does nothing by default.

    ``before_step`` should be quick, so that timers measure the step: prefer ``after_step``. A
    hook with state gives it by ``state_dict`` and takes it by ``load_state_dict``.
    """

    trainer: Any = None
    """The trainer, by a weak reference that it sets when the hook is registered."""

    def before_train(self) -> None:
        """Before the first iteration."""

    def after_train(self) -> None:
        """After the last iteration, also if it failed."""

    def before_step(self) -> None:
        """Before every iteration."""

    def after_backward(self) -> None:
        """When the gradients of an iteration are there and not yet used."""

    def after_step(self) -> None:
        """After every iteration."""

    def state_dict(self) -> dict[str, Any]:
        """What to keep in checkpoints; {} for nothing."""
        return {}


class TrainerBase:
    """A loop over iterations with hooks; a subclass says in :meth:`run_step` what an iteration is.

    Attributes:
        iter: the current iteration. After training it equals ``max_iter`` if nothing failed.
        start_iter, max_iter: the first iteration, and the one to stop before.
        storage: the EventStorage of the training under way.
    """

    max_iter: int
    storage: EventStorage

    def __init__(self) -> None:
        self._hooks: list[HookBase] = []
        self.iter = 0
        self.start_iter = 0

    def register_hooks(self, hooks: Sequence[HookBase | None]) -> None:
        """Add hooks, to be called in this order after those already there; None is skipped."""
        present = [hook for hook in hooks if hook is not None]
        for hook in present:
            assert isinstance(hook, HookBase), f"{hook!r} is not a HookBase"
            hook.trainer = weakref.proxy(self)  # no cycle: the trainer owns its hooks
        self._hooks.extend(present)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Run the iterations from ``start_iter`` up to, not including, ``max_iter``.

        An exception is logged and raised again, after the hooks' ``after_train``.
        """
        logger.info(f"Starting training from iteration {start_iter}")
        self.start_iter, self.max_iter, self.iter = start_iter, max_iter, start_iter
        with EventStorage(start_iter) as self.storage:
            try:
                self._run(range(start_iter, max_iter))
            except Exception:
                logger.exception("Exception during training:")
                raise
            finally:
                self.after_train()

    def _run(self, iterations: range) -> None:
        self.before_train()
        for iteration in iterations:
            self.iter = iteration
            self.before_step()
            self.run_step()
            self.after_step()
        self.iter += 1  # tells the hooks that the last iteration is complete

    def _call_hooks(self, moment: str) -> None:
        for hook in self._hooks:
            getattr(hook, moment)()

    def before_train(self) -> None:
        """Call the hooks' method of this name, as do the next four."""
        self._call_hooks("before_train")

    def after_train(self) -> None:
        self.storage.iter = self.iter
        self._call_hooks("after_train")

    def before_step(self) -> None:
        self.storage.iter = self.iter
        self._call_hooks("before_step")

    def after_backward(self) -> None:
        self._call_hooks("after_backward")

    def after_step(self) -> None:
        self._call_hooks("after_step")

    def run_step(self) -> None:
        """One iteration."""
        raise NotImplementedError(f"{type(self).__name__} does not define run_step()")

    def state_dict(self) -> dict[str, Any]:
        """The iteration, and the states of hooks by class name.

        Of several hooks of one class that have state only the first is kept.
        """
        hooks: dict[str, Any] = {}
        for hook in self._hooks:
            state = hook.state_dict()
            if state:
                hooks.setdefault(type(hook).__qualname__, state)
        return {"iteration": self.iter, **({"hooks": hooks} if hooks else {})}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave; warns of hooks that are no longer there."""
        self.iter = state_dict["iteration"]
        for name, state in state_dict.get("hooks", {}).items():
            hook: Any = next((h for h in self._hooks if type(h).__qualname__ == name), None)
            if hook is None:
                logger.warning(f"Cannot find the hook '{name}', its state_dict is ignored.")
            else:
                hook.load_state_dict(state)
