"""The storage of training figures and its writers, on whichever Detectron2 is installed."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.utils.events import (
    CommonMetricPrinter,
    EventStorage,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
    has_event_storage,
)


def lines_of(file: Path) -> list[dict[str, float]]:
    """The JSON objects in a file, one a line."""
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _propagate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log reach pytest even if another test has called setup_logger."""
    monkeypatch.setattr(logging.getLogger("detectron2"), "propagate", True)


# storage


def test_the_current_storage_is_the_innermost_and_there_may_be_none() -> None:
    assert not has_event_storage()
    with pytest.raises(AssertionError, match="EventStorage"):
        get_event_storage()
    with EventStorage() as outer:
        with EventStorage(3) as inner:
            assert get_event_storage() is inner
        assert get_event_storage() is outer
        assert has_event_storage()
    assert not has_event_storage()


def test_a_storage_is_left_also_when_its_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), EventStorage():
        _ = 1 / 0
    assert not has_event_storage()


def test_scalars_keep_value_and_iteration() -> None:
    storage = EventStorage(start_iter=5)
    storage.put_scalar("loss", torch.tensor(2.0))
    storage.step()
    storage.put_scalars(loss=4, accuracy=0.5)
    storage.iter = 9
    storage.put_scalar("loss", 1.0, cur_iter=8)
    assert storage.latest() == {"loss": (1.0, 8), "accuracy": (0.5, 6)}
    assert storage.history("loss").values() == [(2.0, 5), (4.0, 6), (1.0, 8)]
    assert sorted(storage.histories()) == ["accuracy", "loss"]
    assert (storage.iter, storage.iteration) == (9, 9)


def test_an_unknown_history_raises_a_key_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="absent"):
        EventStorage().history("absent")


def test_a_scalar_keeps_one_smoothing_hint() -> None:
    storage = EventStorage()
    storage.put_scalar("lr", 0.1, smoothing_hint=False)
    assert storage.smoothing_hints() == {"lr": False}
    with pytest.raises(AssertionError, match="lr"):
        storage.put_scalar("lr", 0.1)


def test_smoothing_is_the_median_over_a_window_of_iterations() -> None:
    storage = EventStorage()
    for iteration, value in enumerate([100.0, 1.0, 9.0, 2.0, 8.0]):
        storage.iter = iteration * 10
        storage.put_scalar("noisy", value)
        storage.put_scalar("exact", value, smoothing_hint=False)
    # of the iterations 0, 10, 20, 30 and 40 the last 25 are those above 15
    assert storage.count_samples("noisy", 25) == 3
    assert storage.latest_with_smoothing_hint(25) == {"noisy": (8.0, 40), "exact": (8.0, 40)}
    assert storage.count_samples("noisy", 20) == 2
    assert storage.latest_with_smoothing_hint(20)["noisy"] == (5.0, 40)
    assert storage.count_samples("noisy", 1000) == 5
    assert storage.latest_with_smoothing_hint(1000)["noisy"] == (8.0, 40)


def test_a_name_scope_prefixes_and_the_inner_one_replaces_the_outer() -> None:
    storage = EventStorage()
    with storage.name_scope("outer/"):
        storage.put_scalar("a", 1)
        with storage.name_scope("inner"):
            storage.put_scalar("a", 2)
        storage.put_scalar("b", 3)
    storage.put_scalar("a", 4)
    assert sorted(storage.latest()) == ["a", "inner/a", "outer/a", "outer/b"]


# JSON


def test_json_has_a_line_per_iteration_with_sorted_keys(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    writer = JSONWriter(str(file), window_size=2)
    with EventStorage(1) as storage:
        storage.put_scalars(b=1.0, a=3.0)
        storage.step()
        storage.put_scalars(a=5.0)
        writer.write()
    writer.close()
    assert lines_of(file) == [{"b": 1.0, "iteration": 1}, {"a": 4.0, "iteration": 2}]
    assert file.read_text().splitlines()[1] == '{"a": 4.0, "iteration": 2}'


def test_json_repeats_nothing_and_appends_to_an_existing_file(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text('{"iteration": 0, "old": 1}\n')
    writer = JSONWriter(str(file))
    with EventStorage(1) as storage:
        storage.put_scalar("a", 1.0)
        writer.write()
        writer.write()
        storage.step()
        storage.put_scalar("b", 2.0)
        writer.write()
    writer.close()
    assert lines_of(file) == [
        {"iteration": 0, "old": 1},
        {"a": 1.0, "iteration": 1},
        {"b": 2.0, "iteration": 2},
    ]


# TensorBoard


def test_tensorboard_gets_scalars_images_and_histograms_once(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = TensorboardXWriter(str(tmp_path), window_size=20)
    with EventStorage(3) as storage:
        storage.put_scalar("a", 1.0)
        storage.put_image("picture", np.zeros((3, 4, 5), dtype=np.uint8))
        storage.put_histogram("values", torch.tensor([0.0, 1.0, 1.0, 4.0]), bins=4)
        writer.write()
        storage.step()
        storage.put_scalar("a", 3.0)
        writer.write()
        writer.write()
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("a")] == [(3, 1.0), (4, 2.0)]
    assert [(image.step, image.width, image.height) for image in events.Images("picture")] == [
        (3, 5, 4)
    ]
    (histogram,) = events.Histograms("values")
    counts = histogram.histogram_value
    assert (histogram.step, counts.min, counts.max, counts.num) == (3, 0.0, 4.0, 4.0)
    assert (counts.sum, counts.sum_squares) == (6.0, 18.0)
    assert counts.bucket_limit == [1.0, 2.0, 3.0, 4.0]
    assert counts.bucket == [1.0, 2.0, 0.0, 1.0]


def test_tensorboard_makes_no_file_before_there_is_something_to_write(tmp_path: Path) -> None:
    writer = TensorboardXWriter(str(tmp_path / "events"))
    with EventStorage():
        writer.write()
    writer.close()
    assert not (tmp_path / "events").exists()


# printer


def printed(caplog: pytest.LogCaptureFixture) -> str:
    """The last line that was logged."""
    return caplog.records[-1].getMessage()


def test_the_printer_logs_one_line_in_a_fixed_form(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), EventStorage(9) as storage:
        storage.put_scalars(total_loss=2.0, loss_b=0.123456, accuracy=0.5)
        storage.put_scalar("[metric]scale", 65536)
        storage.put_scalars(time=2.0, data_time=0.25)
        storage.put_scalar("lr", 0.000123456, smoothing_hint=False)
        CommonMetricPrinter(max_iter=3610).write()
        assert storage.latest()["eta_seconds"] == (7200.0, 9)
    line = re.sub(r"max_mem: \d+M$", "", printed(caplog))
    assert caplog.records[-1].name == "detectron2.utils.events"
    assert line == (
        " eta: 2:00:00  iter: 9  total_loss: 2  loss_b: 0.1235  [metric]scale: 6.554e+04  "
        "time: 2.0000  last_time: 2.0000  data_time: 0.2500  last_data_time: 0.2500   "
        "lr: 0.00012346  "
    )


def test_the_printer_does_without_times_and_rates(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), EventStorage(0) as storage:
        storage.put_scalar("total_loss", 1.5)
        CommonMetricPrinter().write()
    assert re.sub(r"max_mem: \d+M$", "", printed(caplog)) == (
        " iter: 0  total_loss: 1.5     lr: N/A  "
    )


def test_the_printer_estimates_the_time_left_by_its_own_clock(
    caplog: pytest.LogCaptureFixture,
) -> None:
    printer = CommonMetricPrinter(max_iter=10)
    with caplog.at_level(logging.INFO), EventStorage(0) as storage:
        printer.write()
        assert "eta" not in printed(caplog)
        storage.step()
        printer.write()
        assert re.search(r"eta: 0:00:0\d  iter: 1 ", printed(caplog))


def test_the_printer_is_silent_once_training_is_complete(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), EventStorage(10) as storage:
        storage.put_scalar("total_loss", 1.0)
        CommonMetricPrinter(max_iter=10).write()
    assert caplog.records == []


def test_a_writer_must_define_write() -> None:
    with pytest.raises(NotImplementedError):
        EventWriter().write()
    EventWriter().close()
