"""Figures reach experiment trackers: the real ones where they are installed, without a network."""

import math

import pytest
from detectron2.utils.events import EventStorage

from langdg_d2.engine.writers import MlflowWriter, TrackerWriter, WandbWriter
from langdg_d2.utils.errors import LangDGError


def write(writer: TrackerWriter) -> None:
    """Two periods of a training, and a score after its end."""
    with EventStorage(0) as storage:
        writer.write()  # nothing is known yet
        storage.put_scalars(total_loss=2.5, lr=0.1)
        storage.iter = 1
        storage.put_scalars(total_loss=2.0)
        writer.write()
        writer.write()  # nothing is new
        storage.iter = 2
        storage.put_scalars(**{"fog/IoU-traffic light": 40.0, "fog/mIoU": math.nan})
        writer.write()


class ListWriter(TrackerWriter):
    package = "json"

    def begin(self, **options):
        self.sent = [options]

    def send(self, figures, iteration):
        self.sent.append((iteration, {k: v for k, v in figures.items() if v == v}))

    def end(self):
        self.sent.append("end")


def test_figures_are_sent_once_at_their_iteration():
    writer = ListWriter(project="p")
    write(writer)
    for _ in range(2):
        writer.close()
    assert writer.sent == [
        {"project": "p"},
        (0, {"lr": 0.1}),
        (1, {"total_loss": 2.0}),
        (2, {"fog/IoU-traffic light": 40.0}),
        "end",
    ]


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setattr("langdg_d2.engine.writers.find_spec", lambda name: None)
    for kind, name in ((WandbWriter, "wandb"), (MlflowWriter, "mlflow")):
        with pytest.raises(LangDGError, match=rf"'{name}': pip install 'langdg_d2\[{name}\]'"):
            kind()


def test_mlflow_keeps_the_figures(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tmp_path.as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    writer = MlflowWriter(experiment="langdg", run_name="first")
    write(writer)
    writer.close()
    client = mlflow.MlflowClient(tmp_path.as_uri())
    experiment = client.get_experiment_by_name("langdg").experiment_id
    (run,) = client.search_runs([experiment])
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    losses = client.get_metric_history(run.info.run_id, "total_loss")
    assert [(one.step, one.value) for one in losses] == [(1, 2.0)]
    assert run.data.metrics["fog/IoU-traffic light"] == 40.0


def test_wandb_keeps_the_figures(tmp_path, monkeypatch, capfd):
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    writer = WandbWriter(project="langdg", name="first", mode="offline", dir=str(tmp_path))
    write(writer)
    kept = dict(writer._run.summary)  # without the last iteration, which may get more figures
    assert (kept["total_loss"], kept["lr"], kept["_step"]) == (2.0, 0.1, 1)
    writer.close()
    assert "fog/IoU-traffic light 40" in capfd.readouterr().err
    assert list(tmp_path.rglob("run-*.wandb"))
