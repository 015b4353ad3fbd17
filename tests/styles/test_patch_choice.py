"""Which patches of a batch are mined."""

import torch

from langdg_d2.styles.mining import choose_patches


def test_first_patch_of_each_class_is_chosen():
    classes = torch.randint(0, 4, (5, 3, 2), dtype=torch.uint8)
    choice = choose_patches(classes)
    assert list(choice) == sorted(set(classes.flatten().tolist()))
    for class_id, place in choice.items():
        slow = next(
            (image, row, col)
            for row in range(3)
            for col in range(2)
            for image in range(5)
            if classes[image, row, col] == class_id
        )
        assert place == slow
