"""The model of a training run, ready to be exported."""

from collections.abc import Sequence

from ..evaluation import inference_name
from ..modeling import LangDGSegmentor
from ..utils.errors import LangDGError
from ..visualization import Predictor


def load_segmentor(
    config_file: str, checkpoint: str, overrides: Sequence[str] = ()
) -> LangDGSegmentor:
    """Build a model on the CPU, in eval mode, with the weights of a checkpoint.

    Args:
        config_file: LazyConfig file of the run. It is Python code: use only those you trust.
        checkpoint: file of its weights; nothing in it is executed.
        overrides: changes of the config.

    Raises:
        FileNotFoundError: if a file does not exist.
        LangDGError: for an override of a key that does not exist.
        LangDGError: if the checkpoint is none, or does not fit the model; if the config does not
            ask for whole images seen once, which is all that a graph can do.
    """
    model = Predictor.from_config(config_file, checkpoint, overrides, device="cpu").model
    if not isinstance(model, LangDGSegmentor):
        raise LangDGError(
            f"evaluation.inference is '{inference_name(model)}', expected whole images seen once: "
            "scales and windows are no part of an exported graph. Pass evaluation.inference."
            "scales=[1.0] evaluation.inference.flip=False evaluation.inference.window=null "
            "evaluation.inference.stride=null"
        )
    return model
