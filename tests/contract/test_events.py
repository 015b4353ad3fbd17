"""The storage of training figures and its writers, on whichever Detectron2 is installed."""

import logging
import re

import numpy as np
import pytest
import torch
from detectron2.utils.events import (
    CommonMetricPrinter,
    EventStorage,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
    has_event_storage,
)

# storage


def test_the_current_storage_is_the_innermost_and_there_may_be_none():
    assert not has_event_storage()
    with pytest.raises(AssertionError, match="EventStorage"):
        get_event_storage()
    with EventStorage() as outer:
        with EventStorage(3) as inner:
            assert get_event_storage() is inner
        assert get_event_storage() is outer
        assert has_event_storage()
    with pytest.raises(ZeroDivisionError), EventStorage():
        _ = 1 / 0
    assert not has_event_storage()


def test_scalars_keep_value_and_iteration():
    storage = EventStorage(start_iter=5)
    storage.put_scalar("loss", torch.tensor(2.0))
    storage.step()
    storage.put_scalars(loss=4, accuracy=0.5)
    storage.iter = 9
    storage.put_scalar("loss", 1.0, cur_iter=8)
    assert storage.latest() == {"loss": (1.0, 8), "accuracy": (0.5, 6)}
    assert storage.history("loss").values() == [(2.0, 5), (4.0, 6), (1.0, 8)]
    assert sorted(storage.histories()) == ["accuracy", "loss"]
    assert storage.iter == 9


def test_a_scalar_keeps_one_smoothing_hint_and_an_unknown_one_has_no_history():
    storage = EventStorage()
    with pytest.raises(KeyError, match="absent"):
        storage.history("absent")
    storage.put_scalar("lr", 0.1, smoothing_hint=False)
    assert storage.smoothing_hints() == {"lr": False}
    with pytest.raises(AssertionError, match="lr"):
        storage.put_scalar("lr", 0.1)


def test_smoothing_is_the_median_over_a_window_of_iterations():
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


def test_a_name_scope_prefixes_and_the_inner_one_replaces_the_outer():
    storage = EventStorage()
    with storage.name_scope("outer/"):
        storage.put_scalar("a", 1)
        with storage.name_scope("inner"):
            storage.put_scalar("a", 2)
        storage.put_scalar("b", 3)
    storage.put_scalar("a", 4)
    assert sorted(storage.latest()) == ["a", "inner/a", "outer/a", "outer/b"]


# writers


def test_json_gets_a_sorted_line_per_iteration_and_nothing_twice(tmp_path):
    file = tmp_path / "metrics.json"
    file.write_text('{"iteration": 0, "old": 1}\n')
    writer = JSONWriter(str(file), window_size=2)
    with EventStorage(1) as storage:
        storage.put_scalars(b=1.0, a=3.0)
        writer.write()
        writer.write()
        storage.step()
        storage.put_scalars(a=5.0)
        writer.write()
    writer.close()
    assert file.read_text().splitlines() == [
        '{"iteration": 0, "old": 1}',
        '{"a": 3.0, "b": 1.0, "iteration": 1}',
        '{"a": 4.0, "iteration": 2}',
    ]


def test_tensorboard_gets_scalars_and_images_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = TensorboardXWriter(str(tmp_path), window_size=20)
    with EventStorage(3) as storage:
        writer.write()
        assert list(tmp_path.iterdir()) == []
        storage.put_scalar("a", 1.0)
        storage.put_image("picture", np.zeros((3, 4, 5), dtype=np.uint8))
        writer.write()
        storage.step()
        storage.put_scalar("a", 3.0)
        writer.write()
        writer.write()
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("a")] == [(3, 1.0), (4, 2.0)]
    (image,) = events.Images("picture")
    assert (image.step, image.width, image.height) == (3, 5, 4)


def printed(caplog):
    """The last line that was logged, without the memory of a GPU and the width of gaps."""
    return " ".join(re.sub(r"max_mem: \d+M$", "", caplog.records[-1].getMessage()).split())


def test_the_printer_logs_one_line_in_a_fixed_form(caplog):
    with caplog.at_level(logging.INFO), EventStorage(9) as storage:
        storage.put_scalars(total_loss=2.0, loss_b=0.123456, accuracy=0.5)
        storage.put_scalar("[metric]scale", 65536)
        storage.put_scalars(time=2.0, data_time=0.25)
        storage.put_scalar("lr", 0.000123456, smoothing_hint=False)
        CommonMetricPrinter(max_iter=3610).write()
        assert storage.latest()["eta_seconds"] == (7200.0, 9)
    assert caplog.records[-1].name == "detectron2.utils.events"
    assert printed(caplog) == (
        "eta: 2:00:00 iter: 9 total_loss: 2 loss_b: 0.1235 [metric]scale: 6.554e+04 time: 2.0000 "
        "last_time: 2.0000 data_time: 0.2500 last_data_time: 0.2500 lr: 0.00012346"
    )


def test_the_printer_does_without_times_and_rates_and_ends_with_the_training(caplog):
    with caplog.at_level(logging.INFO), EventStorage(0) as storage:
        storage.put_scalar("total_loss", 1.5)
        CommonMetricPrinter().write()
        CommonMetricPrinter(max_iter=0).write()
    assert len(caplog.records) == 1
    assert printed(caplog) == "iter: 0 total_loss: 1.5 lr: N/A"


def test_the_remaining_time_is_estimated_without_a_timer(caplog):
    writer = CommonMetricPrinter(max_iter=10)
    caplog.set_level(logging.INFO)
    logging.getLogger("detectron2").propagate = True
    with EventStorage() as storage:
        for iteration in (0, 4, 9):
            storage.iter = iteration
            writer.write()
    said = [record.getMessage() for record in caplog.records]
    assert "eta" not in said[0]
    assert said[1].strip().startswith("eta: 0:00:00  iter: 4")
    assert said[2].strip().startswith("eta: 0:00:00  iter: 9")
