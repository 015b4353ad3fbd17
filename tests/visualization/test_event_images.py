"""Pictures reach TensorBoard's files through Detectron2's event storage."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.utils.events import EventStorage, TensorboardXWriter
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from langdg_d2.structures import CITYSCAPES_19, ChannelStats
from langdg_d2.styles.mixing import Restyling
from langdg_d2.visualization import event_images, palette_named, put_restyling
from langdg_d2.visualization.event_images import put_picture

PALETTE = palette_named("classes", CITYSCAPES_19)


def restyling() -> Restyling:
    own, mixed = (ChannelStats(*torch.rand(2, 2, 5, 1, 2)) for _ in range(2))
    return Restyling(own, mixed, torch.tensor([[[0, 13]], [[255, 0]]], dtype=torch.uint8))


def written(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def test_pictures_are_written_with_name_and_iteration(tmp_path: Path) -> None:
    writer = TensorboardXWriter(str(tmp_path))
    with EventStorage(7):
        put_picture("fog/best_1", np.zeros((20, 30, 3), np.uint8))
        put_restyling(restyling(), PALETTE)
        writer.write()
    writer.close()
    events = written(tmp_path)
    (overlay,), (plot,) = events.Images("fog/best_1"), events.Images("style/patches")
    assert (overlay.step, overlay.width, overlay.height) == (7, 30, 20)
    assert (plot.step, plot.width, plot.height) == (7, 750, 450)


def test_outside_of_training_and_before_a_batch_nothing_is_shown(tmp_path: Path) -> None:
    put_picture("fog/best_1", np.zeros((20, 30, 3), np.uint8))
    writer = TensorboardXWriter(str(tmp_path))
    with EventStorage():
        put_restyling(None, PALETTE)
        writer.write()
    writer.close()
    assert not list(tmp_path.iterdir()) or not written(tmp_path).Tags()["images"]


def test_what_cannot_be_drawn_ends_no_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr(event_images, "restyling_figure", fail)
    with EventStorage(), caplog.at_level(logging.ERROR):
        put_restyling(restyling(), PALETTE)
    assert "Cannot plot how patches were restyled" in caplog.text
