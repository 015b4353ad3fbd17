"""Writers for experiment trackers; each needs an extra, such as `langdg_d2[wandb]`."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from detectron2.utils.events import EventWriter, get_event_storage

from ..utils.errors import LangDGError


class TrackerWriter(EventWriter):
    """Base class of writers that send new scalars to a tracker by iteration.

    The tracker's run begins with the first scalars, because all processes construct writers, but
    only the main process writes.

    Args:
        options: arguments of `begin`.
    """

    package: str  # name of the package and of the extra

    def __init__(self, **options: Any) -> None:
        if find_spec(self.package) is None:
            raise LangDGError(
                f"{type(self).__name__} in train.writers needs the package '{self.package}': pip "
                f"install 'langdg_d2[{self.package}]', or remove it from the config"
            )
        self._options = options
        self._begun = False
        self._last = -1  # last iteration sent

    @abstractmethod
    def begin(self, **options: Any) -> None:
        """Begin the tracker's run."""

    @abstractmethod
    def send(self, figures: Mapping[str, float], iteration: int) -> None:
        """Send the scalars of an iteration; iterations are ascending."""

    @abstractmethod
    def end(self) -> None:
        """End the tracker's run."""

    def write(self) -> None:
        """Send the scalars that are newer than the last ones."""
        new: dict[int, dict[str, float]] = defaultdict(dict)
        for name, (value, iteration) in get_event_storage().latest().items():
            if iteration > self._last:
                new[iteration][name] = value
        if new and not self._begun:
            self.begin(**self._options)
            self._begun = True
        for iteration in sorted(new):
            self.send(new[iteration], iteration)
            self._last = iteration

    def close(self) -> None:
        """End the tracker's run if it has begun."""
        if self._begun:
            self.end()
        self._begun = False


class WandbWriter(TrackerWriter):
    """Writer for Weights & Biases.

    Args:
        options: arguments of `wandb.init`, such as `project` and `name`. With a fixed `id` and
            `resume="allow"`, `--resume` continues the same run.
    """

    package = "wandb"

    def begin(self, **options: Any) -> None:
        import wandb

        self._run = wandb.init(**options)

    def send(self, figures: Mapping[str, float], iteration: int) -> None:
        self._run.log(dict(figures), step=iteration)

    def end(self) -> None:
        self._run.finish()


class MlflowWriter(TrackerWriter):
    """Writer for MLflow, on the server or in the folder of `MLFLOW_TRACKING_URI`.

    Args:
        experiment: name of the experiment; None for MLflow's default.
        options: arguments of `mlflow.start_run`, such as `run_name`; a `run_id` continues that run.
    """

    package = "mlflow"

    def __init__(self, *, experiment: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._experiment = experiment

    def begin(self, **options: Any) -> None:
        import mlflow

        self._mlflow = mlflow
        if self._experiment:
            mlflow.set_experiment(self._experiment)
        mlflow.start_run(**options)

    def send(self, figures: Mapping[str, float], iteration: int) -> None:
        self._mlflow.log_metrics(dict(figures), step=iteration)

    def end(self) -> None:
        self._mlflow.end_run()
