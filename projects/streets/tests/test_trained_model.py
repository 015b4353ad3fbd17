"""The trained model that comes with the repository opens without a config and knows its streets."""

from pathlib import Path

import numpy as np
from streets.sample import draw_sample

from langdg_d2.export import load_segmentor
from langdg_d2.structures.label_encoding import CITYSCAPES_LABEL_IDS
from langdg_d2.visualization import Predictor

FILE = Path(__file__).parents[1] / "weights/streets_recipe.safetensors"


def test_the_trained_model_is_small_and_predicts() -> None:
    assert FILE.stat().st_size <= 8_000_000  # bytes
    predictor = Predictor.from_pretrained(FILE, device="cpu")
    accuracies = {}
    for look in ("clear", "night"):
        scene = draw_sample(seed=9_600_000, look=look, index=0, size=(192, 384))
        labels = CITYSCAPES_LABEL_IDS.table[scene.label_ids]
        right = predictor(scene.image).classes == labels
        accuracies[look] = np.mean(right[labels < len(predictor.classes)])
    assert accuracies["clear"] > 0.7
    assert accuracies["night"] > 0.4


def test_the_trained_model_is_exported_without_a_config() -> None:
    assert load_segmentor(None, str(FILE)).classes.names[0] == "road"
