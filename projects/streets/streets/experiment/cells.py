"""The cells of the experiment: what each changes in `configs/experiment.py`.

A new cell is a new entry of `_CELLS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from langdg_d2.utils.errors import LangDGError

NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A variant of the recipe.

    Attributes:
        name: of its folder and on the command line.
        title: in tables and pictures.
        freeze: whether CLIP's tower is frozen but for its last block.
        augment: where the styles come from, `NONE` for no text.
        mix: whether styles are blended with the patches' own.
        overrides: `key=value` changes of the config, as `tools/train_net.py` takes them.
        of_eight: belongs to the table of freeze, augment and mix.
        sees_targets: trains on scenes of the looks that it is scored on.
    """

    name: str
    title: str
    freeze: bool
    augment: str
    mix: bool
    overrides: tuple[str, ...] = ()
    of_eight: bool = False
    sees_targets: bool = False


def _replaced(key: str, call: str) -> tuple[str, str]:
    """Overrides that put another call in the place of one; its arguments would stay otherwise."""
    return f"{key}=null", f"{key}={call}"


_STYLES = "langdg_d2.styles"
_MIXER = "styles.augmentation.mixer"

_FREE = ("model.backbone.trainable=[stem,layer1,layer2,layer3,layer4]",)
_NO_RESTYLING = ("styles.bank=null", "styles.augmentation=null")
_NO_MIXING = _replaced(f"{_MIXER}.weights", f"{{_target_:{_STYLES}.ConstantWeights,value:0}}")
# Mined patches keep the statistics that they have.
_SOURCE_STYLES = ("styles.mining.miner.pin.steps=0",)
_ART_STYLES = ("styles.mining.miner.prompts.style_prompts=art_styles",)
_RANDOM_CHARACTERS = _replaced(
    "styles.mining.miner.prompts.style_prompts",
    f"{{_target_:{_STYLES}.random_character_prompts,count:20,length:8,seed:${{styles.seed}}}}",
)
_WHOLE_IMAGE = ("styles.grid.rows=1", "styles.grid.cols=1")
# Gets more out of few iterations than the paper's SGD, and is gentler with CLIP's weights.
_ADAMW = _replaced(
    "optimizer",
    "{_target_:torch.optim.AdamW,lr:0.002,weight_decay:0.01,params:"
    "{_target_:langdg_d2.engine.parameter_groups,base_lr:0.002,backbone_lr_factor:0.1}}",
)


FULL = "full"
_FREEZE_NOTHING = "freeze_nothing"

# Name and changes of each way to restyle, by whether it augments and whether it mixes. With the
# colour jitter of the recipe, "no_restyling" is also "frozen, image augmentation only".
_RESTYLING = {
    (False, False): ("no_restyling", _NO_RESTYLING),
    (True, False): ("no_mixing", _NO_MIXING),
    (False, True): ("source_styles", _SOURCE_STYLES),
    (True, True): (FULL, ()),
}


def _noise(name: str, title: str, snr_db: float) -> Cell:
    """A cell with noise in place of mined styles."""
    noise = f"{{_target_:{_STYLES}.NoiseStyles,snr_db:{snr_db}}}"
    return Cell(
        name=name,
        title=title,
        freeze=True,
        augment="noise",
        mix=True,
        overrides=("styles.bank=null", *_replaced(f"{_MIXER}.styles", noise)),
    )


def _with_adamw(cell: Cell) -> Cell:
    """The same with AdamW."""
    return replace(
        cell,
        name=f"{cell.name}_adamw",
        title=f"{cell.title}, AdamW",
        overrides=(*cell.overrides, *_ADAMW),
        of_eight=False,
    )


def _eight(freeze: bool, augment: bool, mix: bool) -> Cell:
    """A cell of the table of freeze, augment and mix."""
    name, overrides = _RESTYLING[augment, mix]
    parts = {"freeze": freeze, "augment": augment, "mix": mix}
    if not freeze:
        name = _FREEZE_NOTHING if name == FULL else f"{_FREEZE_NOTHING}_{name}"
        overrides = (*_FREE, *overrides)
    return Cell(
        name=name,
        title=", ".join(part for part, has in parts.items() if has) or "source-only fine-tuning",
        freeze=freeze,
        augment="text" if augment else NONE,
        mix=mix,
        overrides=overrides,
        of_eight=True,
    )


_EIGHT = tuple(_eight(freeze, *restyling) for freeze in (False, True) for restyling in _RESTYLING)
# A batch gives a style for each of its classes, and few scenes make few batches.
_MORE_STYLES = Cell(
    name="more_styles",
    title="the recipe, mined in batches of 4",
    freeze=True,
    augment="text, more styles",
    mix=True,
    overrides=("styles.mining.batches.batch_size=4",),
)
_SOURCE_ONLY, _FROZEN = "freeze_nothing_no_restyling", "no_restyling"
_WITH_ADAMW = (_SOURCE_ONLY, _FROZEN, "source_styles", FULL, _MORE_STYLES.name)
_CELLS = (
    *_EIGHT,
    _MORE_STYLES,
    *(_with_adamw(cell) for cell in (*_EIGHT, _MORE_STYLES) if cell.name in _WITH_ADAMW),
    _noise("noise_styles", "faint noise for text", 20.0),
    # Shifts statistics as far as mining does.
    _noise("strong_noise_styles", "noise as strong as text", 5.0),
    Cell(
        name="art_styles",
        title="art styles as prompts",
        freeze=True,
        augment="text of art",
        mix=True,
        overrides=_ART_STYLES,
    ),
    Cell(
        name="random_character_prompts",
        title="random characters for styles",
        freeze=True,
        augment="random characters",
        mix=True,
        overrides=_RANDOM_CHARACTERS,
    ),
    Cell(
        name="whole_image_styles",
        title="whole-image styles",
        freeze=True,
        augment="text, no patches",
        mix=True,
        overrides=_WHOLE_IMAGE,
    ),
    # With AdamW, for the paper's SGD would need more iterations to train everything.
    Cell(
        name="oracle",
        title="oracle: trained on the targets, AdamW",
        freeze=False,
        augment=NONE,
        mix=False,
        overrides=(*_FREE, *_NO_RESTYLING, *_ADAMW),
        sees_targets=True,
    ),
)
CELLS: dict[str, Cell] = {cell.name: cell for cell in _CELLS}


def choose_cells(names: Sequence[str] | None) -> list[Cell]:
    """Cells of these names in the order of the tables, all for None.

    Raises:
        LangDGError: if there is no such cell; lists those there are.
    """
    if unknown := [name for name in names or () if name not in CELLS]:
        raise LangDGError(f"no cell is called {unknown}; there are {', '.join(CELLS)}")
    return [cell for cell in CELLS.values() if names is None or cell.name in names]
