"""Contract of transforms and augmentations.

Random draws are pinned: NumPy's global generator, seeded, against the same draws made by hand.
"""

import numpy as np
import pytest
from detectron2.data import transforms as T
from PIL import Image

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 4, (12, 20), dtype=np.uint8)
SEED = 5


def apply(augmentation, image=IMAGE, labels=LABELS):
    """The transformed image, the label map and the transform, after seeding."""
    np.random.seed(SEED)
    augmented = T.AugInput(image, sem_seg=labels)
    transform = augmentation(augmented)
    return augmented.image, augmented.sem_seg, transform


def draws():
    return np.random.RandomState(SEED)


def resized(image, width, height, interp):
    return np.asarray(Image.fromarray(image).resize((width, height), interp))


def test_an_augmentation_sees_the_attributes_its_parameters_name():
    class Shift(T.Augmentation):
        def get_transform(self, image, sem_seg):
            return T.CropTransform(int(sem_seg.max()), 0, 4, 4)

    class Whole(T.Augmentation):
        def get_transform(self, picture):  # a single one, whatever its name
            return T.HFlipTransform(picture.shape[1])

    np.testing.assert_array_equal(apply(Whole())[0], IMAGE[:, ::-1])
    image, labels, transform = apply(Shift())
    assert transform.x0 == 3
    np.testing.assert_array_equal(image, IMAGE[:4, 3:7])
    np.testing.assert_array_equal(labels, LABELS[:4, 3:7])


def test_an_input_without_what_is_asked_for_is_refused():
    class Deep(T.Augmentation):
        def get_transform(self, image, depth):
            return T.NoOpTransform()

    with pytest.raises(AttributeError, match="depth"):
        apply(Deep())


def test_a_list_applies_each_part_to_the_result_of_those_before():
    steps = [T.Resize((6, 10)), T.AugmentationList([T.HFlipTransform(10)]), T.RandomFlip(1.0)]
    image, labels, transforms = apply(T.AugmentationList(steps))
    np.testing.assert_array_equal(image, resized(IMAGE, 10, 6, Image.Resampling.BILINEAR))
    assert isinstance(transforms, T.TransformList)
    assert [type(t) for t in transforms] == [T.ResizeTransform, T.HFlipTransform, T.HFlipTransform]
    np.testing.assert_array_equal(transforms.apply_image(IMAGE), image)
    np.testing.assert_array_equal(transforms.apply_segmentation(LABELS), labels)
    boxed = T.AugInput(IMAGE, boxes=np.array([[1.0, 2.0, 5.0, 6.0]]))
    T.AugmentationList([T.HFlipTransform(20)])(boxed)
    np.testing.assert_array_equal(boxed.boxes, [[15.0, 2.0, 19.0, 6.0]])


@pytest.mark.parametrize("vertical", [False, True])
def test_flips_follow_one_uniform_draw(vertical):
    flip = T.RandomFlip(0.4, horizontal=not vertical, vertical=vertical)
    np.random.seed(SEED)
    flipped = np.flip(IMAGE, axis=0 if vertical else 1)
    for draw in draws().uniform(size=20):
        image = flip.get_transform(IMAGE).apply_image(IMAGE)
        np.testing.assert_array_equal(image, flipped if draw < 0.4 else IMAGE)
    with pytest.raises(ValueError, match="horiz"):
        T.RandomFlip(horizontal=vertical, vertical=vertical)


def test_a_random_application_happens_with_its_probability():
    augmentation = T.RandomApply(T.HFlipTransform(20), prob=0.3)
    np.random.seed(SEED)
    for draw in draws().uniform(size=20):
        augmented = T.AugInput(IMAGE)
        augmentation(augmented)
        np.testing.assert_array_equal(augmented.image, IMAGE[:, ::-1] if draw < 0.3 else IMAGE)
    with pytest.raises(AssertionError):
        T.RandomApply(T.NoOpTransform(), prob=1.2)


def test_resizing_filters_images_and_picks_labels():
    image, labels, transform = apply(T.Resize((30, 25)))
    np.testing.assert_array_equal(image, resized(IMAGE, 25, 30, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(labels, resized(LABELS, 25, 30, Image.Resampling.NEAREST))
    assert transform.inverse().apply_image(image).shape == IMAGE.shape
    points = transform.apply_coords(np.array([[4.0, 6.0]]))
    np.testing.assert_allclose(points, [[5.0, 15.0]])
    image, _, _ = apply(T.Resize(7, interp=Image.Resampling.NEAREST))
    np.testing.assert_array_equal(image, resized(IMAGE, 7, 7, Image.Resampling.NEAREST))


@pytest.mark.parametrize("shape", [(12, 20), (12, 20, 1), (12, 20, 3)])
def test_resizing_keeps_the_axes_of_bytes_and_floats(shape):
    image = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    transform = T.ResizeTransform(12, 20, 24, 40)
    for x in (image, image.astype(np.float32), image.astype(np.float32)[:, ::-1]):
        doubled = transform.apply_image(x)
        assert doubled.shape == (24, 40, *shape[2:])
        assert doubled.dtype == x.dtype
    # Doubling by bilinear weights: a new pixel is 9/16, 3/16, 3/16 and 1/16 of its neighbours.
    x = image.astype(np.float32)
    expected = (9 * x[1, 1] + 3 * x[0, 1] + 3 * x[1, 0] + x[0, 0]) / 16
    np.testing.assert_allclose(transform.apply_image(x)[2, 2], expected, rtol=1e-5)


def test_resizing_labels_of_wide_integers_is_not_possible():
    transform = T.ResizeTransform(12, 20, 24, 40)
    floats = transform.apply_segmentation(LABELS.astype(np.float32))
    np.testing.assert_array_equal(floats, LABELS.repeat(2, axis=0).repeat(2, axis=1))
    with pytest.raises((RuntimeError, NotImplementedError)):
        transform.apply_segmentation(LABELS.astype(np.int64))
    with pytest.raises(AssertionError):
        transform.apply_image(IMAGE[:-1])


@pytest.mark.parametrize(
    ("size", "length", "limit", "expected"),
    [
        ((10, 20), 5, 100, (5, 10)),
        ((20, 10), 5, 100, (10, 5)),
        ((10, 10), 7, 100, (7, 7)),
        ((10, 20), 50, 60, (30, 60)),
        ((6, 7), 3, 100, (3, 4)),  # 3.5 is rounded up
        ((1080, 1920), 512, 800, (450, 800)),
    ],
)
def test_the_shortest_edge_sets_the_size_within_a_limit(size, length, limit, expected):
    assert T.ResizeShortestEdge.get_output_shape(*size, length, limit) == expected
    transform = T.ResizeShortestEdge(length, limit).get_transform(np.zeros(size))
    assert (transform.new_h, transform.new_w) == expected


def test_the_shortest_edge_is_drawn_from_a_range_or_a_choice():
    ranged, chosen = T.ResizeShortestEdge((4, 9)), T.ResizeShortestEdge([5, 8], 99, "choice")
    np.random.seed(SEED)
    generator = draws()
    for _ in range(10):
        assert ranged.get_transform(IMAGE).new_h == generator.randint(4, 10)
        assert chosen.get_transform(IMAGE).new_h == generator.choice([5, 8])
    assert isinstance(T.ResizeShortestEdge(0).get_transform(IMAGE), T.NoOpTransform)
    with pytest.raises(AssertionError):
        T.ResizeShortestEdge((4, 5, 6))
    with pytest.raises(AssertionError):
        T.ResizeShortestEdge(4, sample_style="any")


def test_a_random_crop_draws_its_row_and_then_its_column():
    image, labels, transform = apply(T.RandomCrop("absolute", (5, 7)))
    generator = draws()
    y0, x0 = generator.randint(12 - 5 + 1), generator.randint(20 - 7 + 1)
    assert (transform.y0, transform.x0) == (y0, x0)
    np.testing.assert_array_equal(image, IMAGE[y0 : y0 + 5, x0 : x0 + 7])
    np.testing.assert_array_equal(labels, LABELS[y0 : y0 + 5, x0 : x0 + 7])


def test_crop_sizes_are_pixels_or_shares():
    np.random.seed(SEED)
    generator = draws()
    assert T.RandomCrop("absolute", (50, 7)).get_crop_size((12, 20)) == (12, 7)
    assert T.RandomCrop("relative", (0.5, 0.7)).get_crop_size((13, 5)) == (7, 4)
    size = T.RandomCrop("absolute_range", (4, 15)).get_crop_size((12, 20))
    assert size == (generator.randint(4, 13), generator.randint(4, 16))
    smallest = np.array([0.3, 0.6])
    shares = smallest + generator.rand(2) * (1 - smallest)
    size = T.RandomCrop("relative_range", (0.3, 0.6)).get_crop_size((120, 200))
    assert size == (int(120 * shares[0] + 0.5), int(200 * shares[1] + 0.5))
    with pytest.raises(AssertionError):
        T.RandomCrop("any", (3, 3))


@pytest.mark.parametrize(
    ("augmentation", "other"),
    [
        (T.RandomBrightness, 0.0),
        (T.RandomContrast, IMAGE.mean()),
        (T.RandomSaturation, (IMAGE @ [0.299, 0.587, 0.114])[..., None]),
    ],
)
def test_colours_are_blended_with_a_uniform_weight(augmentation, other):
    weight = draws().uniform(0.2, 1.8)
    image, labels, _ = apply(augmentation(0.2, 1.8))
    blended = np.clip(weight * IMAGE + (1 - weight) * other, 0, 255)
    assert image.dtype == np.uint8
    assert np.abs(image - np.floor(blended)).max() <= 1
    assert (image == np.floor(blended)).mean() > 0.98
    assert labels is LABELS


@pytest.mark.parametrize(
    ("augmentation", "shown"),
    [
        (T.RandomFlip(), "RandomFlip()"),
        (T.RandomFlip(prob=0.3), "RandomFlip(prob=0.3)"),
        (T.ResizeShortestEdge([2, 3], sample_style="choice"), "short_edge_length=[2, 3], "),
        (T.RandomCrop("absolute", (4, 5)), "RandomCrop(crop_type='absolute', crop_size=(4, 5))"),
        (T.RandomContrast(0.5, 2.0), "RandomContrast(intensity_min=0.5, intensity_max=2.0)"),
        (T.HFlipTransform(7), "HFlipTransform(width=7)"),
        (T.AugmentationList([T.RandomFlip(prob=0.3)]), "AugmentationList[RandomFlip(prob=0.3)]"),
        (T.RandomApply(T.RandomFlip()), "RandomApply"),
    ],
)
def test_augmentations_show_how_they_were_made(augmentation, shown):
    assert shown in repr(augmentation)
