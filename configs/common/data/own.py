"""Loaders and evaluators of data sets with their own classes."""

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
    """Loaders and evaluators of registered data sets.

    Args:
        train: name of the data set to train on and mine styles from, or a list of names.
        targets: data sets to score, by the names that tables give them.
        crop_size: height and width in pixels of training and mining.
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
    """Replace the 19 Cityscapes classes of a model config.

    Args:
        model: `model` of a config, which is changed.
        names: in the order of the train ids; prompts, tables and pictures use them.
        colors: (red, green, blue) in 0..255 of each; None for generated ones.
    """
    model.classes.update(names=[*names], colors=colors, ids=None)
    model.sem_seg_head.num_classes = len(names)
