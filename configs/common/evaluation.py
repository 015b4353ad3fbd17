"""What a model is scored on, and how."""

ACDC = ["acdc_night", "acdc_snow", "acdc_rain", "acdc_fog"]


def evaluation(
    source: str | list[str] | None,
    targets: list[str],
    published: str | None = None,
    groups: dict[str, list[str]] | None = None,
) -> dict:
    """Evaluation on unseen targets, and on ACDC as a whole, of a model trained on the source.

    `groups` are other groups of domains to average, in place of ACDC's.
    """
    groups = dict(acdc=ACDC) if groups is None else groups
    return dict(
        # The domain that the model was trained on, or a list of them; excluded from the mean if it
        # is scored as well.
        source=source,
        # Domains to score, in the order of the tables; any of `dataloader.test`.
        domains=[*targets, *(one for group in groups.values() for one in group)],
        # How images are cropped before testing: "full", or "famix" as by the authors.
        protocol="full",
        # Applied to every image first: a key of langdg_d2.data.CORRUPTIONS, severity 1 to 5.
        corruption=dict(name=None, severity=3),
        # Logits are averaged over these factors of the image size, and over mirrored images if
        # `flip`; sliding windows (height, width in pixels), null for whole images; precision of
        # convolutions and matrix products, "float32", "bfloat16", or "float16" on GPUs.
        inference=dict(scales=[1.0], flip=False, window=None, stride=None, precision="float32"),
        # Classes to average over: names, or "16" (those of SYNTHIA) or "13" of the Cityscapes
        # classes; null for all.
        classes=None,
        # Count pixels and write the benchmark tables.
        scores=True,
        # Save pictures of the images with the best and the worst predictions of each domain.
        overlays=True,
        # Save all predictions as "train_ids", "label_ids" or "color" PNG; null saves none.
        predictions=None,
        # Images of the domain "folder", which has no labels and only gets predictions.
        folder=None,
        # Colours in pictures: "classes" for those of model.classes, "colorblind" for colours of the
        # Cityscapes classes that are safe for colour-blind eyes.
        palette="classes",
        # Groups of domains whose means are reported beside the mean of all unseen targets.
        groups=groups,
        # Name of the published figures to compare with; null for none.
        published=published,
    )
