"""Contract of drawing label maps: pixels of the rendered image, and the artists on its canvas."""

import numpy as np
import pytest
import torch
from detectron2.data import Metadata
from detectron2.utils.colormap import colormap, random_color
from detectron2.utils.visualizer import VisImage, Visualizer
from PIL import Image

CLASSES = ["road", "sky", "wall"]
COLORS = [(128, 64, 128), (70, 130, 180), (20, 200, 40)]
IMAGE = np.full((60, 100, 3), 200, dtype=np.uint8)


@pytest.fixture
def metadata():
    return Metadata(name="contract_visualizer").set(stuff_classes=CLASSES, stuff_colors=COLORS)


@pytest.fixture
def labels():
    """A road on the left, sky with a hole of wall on the right, nothing in the middle."""
    labels = np.full(IMAGE.shape[:2], 255, dtype=np.int64)
    labels[:, :40] = 0
    labels[:, 60:] = 1
    labels[20:40, 70:90] = 2
    return labels


def texts(visualizer):
    return {text.get_text(): text for text in visualizer.get_output().ax.texts}


def test_an_image_is_shown_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (31, 47, 3), dtype=np.uint8)
    np.testing.assert_array_equal(VisImage(image).get_image(), image)
    np.testing.assert_array_equal(Visualizer(image).get_output().get_image(), image)
    doubled = image.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(VisImage(image, scale=2).get_image(), doubled)
    beyond = np.full((30, 30, 3), (-5.0, 100.0, 300.0))
    assert (Visualizer(beyond).get_output().get_image() == (0, 100, 255)).all()


def test_an_image_is_saved_as_shown(tmp_path):
    VisImage(IMAGE).save(str(tmp_path / "shown.png"))
    with Image.open(tmp_path / "shown.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved.convert("RGB")), IMAGE)


@pytest.mark.parametrize(("container", "alpha"), [(np.asarray, 0.3), (torch.as_tensor, 0.8)])
def test_labels_are_blended_in_their_colours(metadata, labels, container, alpha):
    visualizer = Visualizer(IMAGE, metadata)
    output = visualizer.draw_sem_seg(container(labels), alpha=alpha, draw_text=False)
    assert output is visualizer.get_output()
    shown = output.get_image()
    places = {0: (30, 20), 1: (10, 80), 2: (30, 80)}
    for label, place in places.items():
        expected = alpha * np.array(COLORS[label]) + (1 - alpha) * IMAGE[place]
        np.testing.assert_allclose(shown[place], expected, atol=2)
    np.testing.assert_array_equal(shown[:, 45:55], IMAGE[:, 45:55])


def test_the_largest_part_of_a_class_has_its_name_at_the_median(metadata, labels):
    labels[5:25, :5] = 1
    visualizer = Visualizer(IMAGE, metadata)
    visualizer.draw_sem_seg(labels)
    assert len(visualizer.get_output().ax.texts) == len(CLASSES)
    for label, name in enumerate(CLASSES):
        ys, xs = np.nonzero((labels == label) & (np.arange(IMAGE.shape[1]) >= 60 * (label == 1)))
        assert texts(visualizer)[name].get_position() == (np.median(xs), np.median(ys))
        assert max(texts(visualizer)[name].get_color()) >= 0.8
    silent = Visualizer(IMAGE, metadata)
    silent.draw_sem_seg(labels, draw_text=False)
    assert texts(silent) == {}


def test_small_parts_are_left_out_with_their_texts(metadata, labels):
    labels[:] = 255
    labels[10:13, 10:13] = 0
    for threshold, is_drawn in ((100, False), (2, True)):
        visualizer = Visualizer(IMAGE, metadata)
        shown = visualizer.draw_sem_seg(labels, area_threshold=threshold).get_image()
        assert (shown != IMAGE).any() == is_drawn
        assert ("road" in texts(visualizer)) == is_drawn


def test_areas_are_outlined_in_the_edge_colour(metadata, labels):
    shown = Visualizer(IMAGE, metadata).draw_sem_seg(
        np.where(labels == 0, 0, 255), draw_text=False, edge_color=(1.0, 0.0, 0.0)
    )
    red, green, _ = shown.get_image()[30, 39].astype(int)
    assert red > green + 50


def test_outlines_run_through_the_centres_of_pixels():
    visualizer = Visualizer(IMAGE)
    mask = np.zeros(IMAGE.shape[:2], dtype=np.uint8)
    mask[10:20, 30:50] = 1
    visualizer.draw_binary_mask(mask)
    outline = visualizer.get_output().ax.patches[0].get_xy()
    np.testing.assert_array_equal(outline.min(axis=0), (30.5, 10.5))
    np.testing.assert_array_equal(outline.max(axis=0), (49.5, 19.5))


def test_classes_without_colours_are_drawn_all_the_same(labels):
    metadata = Metadata(name="contract_visualizer").set(stuff_classes=CLASSES)
    shown = Visualizer(IMAGE, metadata).draw_sem_seg(labels).get_image()
    assert (shown[10, 80] != IMAGE[10, 80]).any()


def test_a_mask_is_blended_and_labelled_but_an_empty_one_is_not(labels):
    visualizer = Visualizer(IMAGE)
    visualizer.draw_binary_mask(labels == 7, text="none")
    visualizer.draw_binary_mask(labels == 2, color="blue", text="wall", alpha=0.5)
    shown = visualizer.get_output().get_image()
    np.testing.assert_allclose(shown[24, 75], (100, 100, 227), atol=2)
    np.testing.assert_array_equal(shown[50, 50], IMAGE[50, 50])
    assert texts(visualizer).keys() == {"wall"}


def test_masks_with_holes_are_drawn_exactly(labels):
    visualizer = Visualizer(IMAGE)
    visualizer.draw_binary_mask(labels == 1, color=(0, 0, 0), alpha=0.5)
    shown = visualizer.get_output().get_image()
    assert (np.abs(shown[labels == 1].astype(int) - 100) <= 1).all()
    np.testing.assert_array_equal(shown[labels != 1], IMAGE[labels != 1])


def test_colours_come_in_both_channel_orders_and_ranges():
    rgb = colormap(rgb=True)
    assert rgb.shape[1] == 3
    assert (rgb.min() >= 0, rgb.max() > 1, rgb.dtype) == (True, True, np.float32)
    np.testing.assert_array_equal(colormap(), rgb[:, ::-1])
    np.testing.assert_allclose(colormap(rgb=True, maximum=1) * 255, rgb, rtol=1e-6)
    known = {tuple(color) for color in colormap(rgb=True, maximum=1)}
    assert {tuple(random_color(rgb=True, maximum=1)) for _ in range(20)} <= known
