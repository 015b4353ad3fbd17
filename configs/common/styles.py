"""Augment and Mix: how styles are mined, where they are stored, and how training uses them."""

from detectron2.config import LazyCall as L

from langdg_d2.data import RandomCrop, SeededBatches, TrainMapper, source_dataset
from langdg_d2.data.sources import images_fingerprint
from langdg_d2.engine import StyleAugmentationHook
from langdg_d2.modeling import PixelNormalization, load_embedding_clip
from langdg_d2.structures import PatchGrid
from langdg_d2.styles import (
    BankStyles,
    BetaWeights,
    PatchStyleMixer,
    PinSettings,
    SourceMining,
    StyleMiner,
    TargetPrompts,
    mining_origin,
)

styles = dict(
    # Rows and columns of patches per image; 1 x 1 gives whole-image styles.
    grid=L(PatchGrid)(rows=3, cols=3),
    # File of the style bank; null if training needs none.
    bank="${train.output_dir}/style_bank.safetensors",
    # Mine the bank before training if it does not exist.
    mine_if_missing=True,
    # Seed for crops and prompts in mining; mixing uses train.seed.
    seed=1,
    # One pass over the source, or over several sources together.
    mining=L(SourceMining)(
        # Built first, so that too few images raise an error before CLIP is loaded.
        batches=L(SeededBatches)(
            dataset=L(source_dataset)(names="${dataloader.train.dataset.names}"),
            # Crops as in training, without colour augmentation.
            mapper=L(TrainMapper)(
                augmentations=[L(RandomCrop)(crop_size="${dataloader.crop_size}")]
            ),
            batch_size=16,
            seed="${styles.seed}",
            unreadable_limit="${dataloader.train.unreadable_limit}",
            # Classes that the labels must have.
            classes="${model.classes}",
            # Number of batches to mine; null for all.
            max_batches=None,
        ),
        miner=L(StyleMiner)(
            clip=L(load_embedding_clip)(
                name="${model.backbone.tower.name}",
                weights="${model.backbone.tower.weights}",
                restyled_layer="${model.backbone.restyled_layer}",
            ),
            grid="${styles.grid}",
            prompts=L(TargetPrompts)(
                class_names="${model.classes.names}",
                # Name of a pack in langdg_d2/styles/prompt_packs, a file (one style per line, or
                # a list in JSON or YAML), or the prompts themselves: [driving at night].
                style_prompts="art_styles",
                ignore_label="${model.classes.ignore_label}",
                template="{style} {class_name}",
            ),
            normalize=L(PixelNormalization)(mean="${model.pixel_mean}", std="${model.pixel_std}"),
            pin=L(PinSettings)(
                steps=100,
                lr=1.0,
                momentum=0.9,
                weight_decay=1e-4,
                # Precision of convolutions and matrix products: "float32" or "bfloat16".
                precision="float32",
            ),
            device="${train.device}",
        ),
        # Source and settings recorded in the bank.
        origin=L(mining_origin)(
            source="${styles.mining.batches.dataset.names}",
            seed="${styles.mining.batches.seed}",
            prompts="${styles.mining.miner.prompts}",
            pin="${styles.mining.miner.pin}",
            images=L(images_fingerprint)(dataset="${styles.mining.batches.dataset}"),
            # A plain dict, whose parts stay descriptions when this is instantiated.
            settings=dict(
                mapper="${styles.mining.batches.mapper}",
                batch_size="${styles.mining.batches.batch_size}",
                max_batches="${styles.mining.batches.max_batches}",
                max_styles_per_class="${styles.mining.max_styles_per_class}",
                pixel_mean="${model.pixel_mean}",
                pixel_std="${model.pixel_std}",
            ),
        ),
        path="${styles.bank}",
        # Number of batches that a process mines before it saves them.
        checkpoint_period=10,
        num_workers=4,
        # Maximum number of styles per class; null keeps all.
        max_styles_per_class=None,
    ),
    # Mixing during training; null trains without it.
    augmentation=L(StyleAugmentationHook)(
        mixer=L(PatchStyleMixer)(
            grid="${styles.grid}",
            # Alternatives: PooledBankStyles (styles of any class), NoiseStyles (no text).
            styles=L(BankStyles)(
                bank="${styles.bank}",
                grid="${styles.grid}",
                class_names="${model.classes.names}",
                ignore_label="${model.classes.ignore_label}",
                # A bank mined with other settings is used, with a warning.
                origin="${styles.mining.origin}",
            ),
            # Weight of a patch's own style; ConstantWeights(value=0) replaces the style.
            weights=L(BetaWeights)(a=0.1, b=0.1),
        ),
        # Probability of restyling an image, and its linear warm-up.
        probability=1.0,
        warmup_iters=0,
        log_period="${train.log_period}",
    ),
)
