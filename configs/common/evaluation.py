"""Evaluation settings: domains, protocol, inference and outputs."""

ACDC = ["acdc_night", "acdc_snow", "acdc_rain", "acdc_fog"]


def evaluation(
    source: str | list[str] | None,
    targets: list[str],
    published: str | None = None,
    groups: dict[str, list[str]] | None = None,
) -> dict:
    """Return the settings to evaluate a model on unseen targets and on ACDC.

    `groups` replaces ACDC by other groups of domains to average.
    """
    groups = dict(acdc=ACDC) if groups is None else groups
    return dict(
        # Domain(s) that the model was trained on; excluded from the mean if scored as well.
        source=source,
        # Domains to evaluate, in the order of the tables; keys of `dataloader.test`.
        domains=[*targets, *(one for group in groups.values() for one in group)],
        # Test protocol: "full" for whole images, or "famix", that of the authors.
        protocol="full",
        # Corruption of every image: a key of langdg_d2.data.CORRUPTIONS, severity 1 to 5.
        corruption=dict(name=None, severity=3),
        # Logits are averaged over `scales`, factors of the image size, and over mirrored images if
        # `flip`. `window` and `stride` (height, width in pixels) set sliding windows, null for
        # whole images. `precision` is "float32", "bfloat16", or "float16" on GPUs.
        inference=dict(scales=[1.0], flip=False, window=None, stride=None, precision="float32"),
        # Classes to average over: names, or "16" or "13" for SYNTHIA's subsets of the Cityscapes
        # classes; null for all.
        classes=None,
        # Compute scores and write the benchmark tables.
        scores=True,
        # Save overlays of the best and the worst predictions of each domain.
        overlays=True,
        # Save all predictions as PNG files: "train_ids", "label_ids" or "color"; null for none.
        predictions=None,
        # Folder of images for the domain "folder", which has no labels and gets predictions only.
        folder=None,
        # Colours in pictures: "classes" for those of model.classes, or "colorblind", which is safe
        # for colour-blind viewers (Cityscapes classes only).
        palette="classes",
        # Groups of domains whose means are reported in addition to the mean of all unseen targets.
        groups=groups,
        # Published figures to compare with; null for none.
        published=published,
    )
