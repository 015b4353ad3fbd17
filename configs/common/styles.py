"""Augment and Mix: how styles are mined, where they are kept, and how training uses them."""

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
    # Rows and columns of patches that an image is cut into; 1 x 1 gives whole-image styles.
    grid=L(PatchGrid)(rows=3, cols=3),
    # File of the mined styles; null if training needs none.
    bank="${train.output_dir}/style_bank.safetensors",
    # If there is no bank, training mines it first.
    mine_if_missing=True,
    # Seed of crops and prompts in mining; mixing uses train.seed.
    seed=1,
    # One pass over the source set, or over several together.
    mining=L(SourceMining)(
        # Built first, so that too few images are an error before CLIP is loaded.
        batches=L(SeededBatches)(
            dataset=L(source_dataset)(names="${dataloader.train.dataset.names}"),
            # Crops as in training, without changing colours.
            mapper=L(TrainMapper)(
                augmentations=[L(RandomCrop)(crop_size="${dataloader.crop_size}")]
            ),
            batch_size=16,
            seed="${styles.seed}",
            unreadable_limit="${dataloader.train.unreadable_limit}",
            # Classes that the labels must have.
            classes="${model.classes}",
            # Number of batches to mine; null for the whole pass.
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
                # A pack of langdg_d2/styles/prompt_packs; a file with one style per line, or a
                # list in JSON or YAML; or the texts themselves, [driving at night].
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
                # Of convolutions and matrix products: "float32" or "bfloat16".
                precision="float32",
            ),
            device="${train.device}",
        ),
        source="${styles.mining.batches.dataset.names}",
        # Recorded in the bank.
        settings=dict(
            mapper="${styles.mining.batches.mapper}",
            batch_size="${styles.mining.batches.batch_size}",
            max_batches="${styles.mining.batches.max_batches}",
            max_styles_per_class="${styles.mining.max_styles_per_class}",
            pixel_mean="${model.pixel_mean}",
            pixel_std="${model.pixel_std}",
        ),
        path="${styles.bank}",
        # Batches that a process mines and saves together.
        checkpoint_period=10,
        num_workers=4,
        # Maximum styles kept per class; null keeps all.
        max_styles_per_class=None,
    ),
    # null trains without restyling.
    augmentation=L(StyleAugmentationHook)(
        mixer=L(PatchStyleMixer)(
            grid="${styles.grid}",
            # Others: PooledBankStyles (of any class), NoiseStyles (no text).
            styles=L(BankStyles)(
                bank="${styles.bank}",
                grid="${styles.grid}",
                class_names="${model.classes.names}",
                ignore_label="${model.classes.ignore_label}",
                # A bank that was not mined like this is used with a warning.
                origin=L(mining_origin)(
                    source="${styles.mining.source}",
                    seed="${styles.mining.batches.seed}",
                    settings="${styles.mining.settings}",
                    prompts="${styles.mining.miner.prompts}",
                    pin="${styles.mining.miner.pin}",
                    images=L(images_fingerprint)(dataset="${styles.mining.batches.dataset}"),
                ),
            ),
            # Share of a patch's own style; ConstantWeights(value=0) replaces it altogether.
            weights=L(BetaWeights)(a=0.1, b=0.1),
        ),
        # Probability of restyling an image, and its linear warm-up.
        probability=1.0,
        warmup_iters=0,
        log_period="${train.log_period}",
    ),
)
