"""Loaders and evaluators for your own data sets and classes."""

from collections.abc import Sequence

from omegaconf import DictConfig

from .sources import crops, train_loader, train_mapper
from .targets import overlays, predictions, scores, test_loader


def own_data(
    *,
    train: str | list[str],
    targets: dict[str, str],
    crop_size: Sequence[int] = (768, 768),
) -> dict:
    """Build loaders and evaluators for registered data sets.

    Args:
        train: name of the data set to train on and to mine styles from, or a list of names.
        targets: registered name of each data set to evaluate, by its name in tables.
        crop_size: height and width in pixels of crops in training and mining.
    """
    return dict(
        crop_size=[*crop_size],
        train=train_loader(train, train_mapper(crops())),
        test={domain: test_loader(domain, name) for domain, name in targets.items()},
        evaluators={
            domain: [scores(name), overlays(name), predictions(name)]
            for domain, name in targets.items()
        },
    )


def use_classes(model: DictConfig, names: Sequence[str], colors: Sequence | None = None) -> None:
    """Replace the 19 Cityscapes classes in a model config.

    Args:
        model: `model` of a config; changed in place.
        names: class names in the order of the train ids, used in prompts, tables and pictures.
        colors: (red, green, blue) in 0..255 for each class; None to generate them.
    """
    model.classes.update(names=[*names], colors=colors, ids=None)
    model.sem_seg_head.num_classes = len(names)
