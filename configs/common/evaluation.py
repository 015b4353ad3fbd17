"""What a model is scored on, and how."""

ACDC = ["acdc_night", "acdc_snow", "acdc_rain", "acdc_fog"]


def evaluation(
    source: str | list[str] | None,
    targets: list[str],
    published: str | None = None,
    groups: dict[str, list[str]] | None = None,
) -> dict:
    """Evaluation of a model trained on the source on unseen targets, and on ACDC as a whole.

    `groups` are other domains that are also averaged together, in place of ACDC's.
    """
    groups = dict(acdc=ACDC) if groups is None else groups
    return dict(
        # What the model was trained on, one domain or a list: left out of the mean where it is
        # scored as well.
        source=source,
        # Domains to score, in the order of the tables; any of `dataloader.test`.
        domains=[*targets, *(one for group in groups.values() for one in group)],
        # How images are cut before testing: "full", or "famix" as the authors do.
        protocol="full",
        # Done to every image first: a key of langdg_d2.data.CORRUPTIONS, severity 1 to 5.
        corruption=dict(name=None, severity=3),
        # What is averaged: factors of the image size, mirrored images; windows (height, width in
        # pixels) that slide over the image, null for whole images; and the precision of
        # convolutions and products, "float32", "bfloat16", or "float16" on GPUs.
        inference=dict(scales=[1.0], flip=False, window=None, stride=None, precision="float32"),
        # Classes to average over: names, or of the Cityscapes classes "16" (those of SYNTHIA) or
        # "13"; null for all.
        classes=None,
        # Count pixels and write the benchmark tables.
        scores=True,
        # Save pictures of the images with the best and the worst predictions of each domain.
        overlays=True,
        # Save all predictions as "train_ids", "label_ids" or "color" PNG; null saves none.
        predictions=None,
        # Images of the domain "folder", which has no labels: only predictions of it are saved.
        folder=None,
        # Colours in pictures: "classes" for those of model.classes, "colorblind" for colours of the
        # Cityscapes classes that are safe for colour-blind eyes.
        palette="classes",
        # Means of several domains beside the mean of all unseen targets.
        groups=groups,
        # Published figures to set beside ours, by name; null for none.
        published=published,
    )
