"""Writers for experiment trackers, each in an extra of its own, such as `langdg_d2[wandb]`."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from detectron2.utils.events import EventWriter, get_event_storage

from ..utils.errors import LangDGError


class TrackerWriter(EventWriter):
    """Sends every new figure to a tracker, by the iteration it belongs to.

    A run of the tracker begins with the first figures: only the main process writes, but all
    construct their writers.

    Args:
        options: for the beginning of the run.
    """

    package: str  # to import, and name of the extra

    def __init__(self, **options: Any) -> None:
        if find_spec(self.package) is None:
            raise LangDGError(
                f"{type(self).__name__} in train.writers needs the package '{self.package}': pip "
                f"install 'langdg_d2[{self.package}]', or take it out of the config"
            )
        self._options = options
        self._begun = False
        self._last = -1  # iteration that was sent last

    @abstractmethod
    def begin(self, **options: Any) -> None:
        """Begin the tracker's run."""

    @abstractmethod
    def send(self, figures: Mapping[str, float], iteration: int) -> None:
        """Send the figures of an iteration, in ascending order of iterations."""

    @abstractmethod
    def end(self) -> None:
        """End the run."""

    def write(self) -> None:
        """Send the figures that are newer than the last ones."""
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
        """End the tracker's run, if there is one."""
        if self._begun:
            self.end()
        self._begun = False


class WandbWriter(TrackerWriter):
    """Weights & Biases.

    Args:
        options: of `wandb.init`, such as `project` and `name`; a fixed `id` with `resume="allow"`
            continues the same run with `--resume`.
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
    """MLflow, on the server or in the folder that `MLFLOW_TRACKING_URI` names.

    Args:
        experiment: its name; None for MLflow's default.
        options: of `mlflow.start_run`, such as `run_name`; a `run_id` continues that run.
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
