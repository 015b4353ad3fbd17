"""Pieces of the page: messages, the legend, the table of mined styles, what has changed.

Texts of users are escaped.
"""

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from ..styles import StyleBank
from ..visualization import Palette, Prediction
from ..visualization.page import parts
from .tally import ClassTally
from .uploads import Image

NOTHING = Markup()

_UNCHANGED = 0.35  # brightness of pixels whose class stays
_RAMP_STEPS = 12
_DOT = "\N{MIDDLE DOT}"


def note(*texts: str) -> Markup:
    """What was done, in a line; texts that are empty are left out."""
    line = f" {_DOT} ".join(escape(text) for text in texts if text)
    return Markup(f"<p class='note' role='status'>{line}</p>")


def problem(text: str) -> Markup:
    """What went wrong."""
    return Markup(f"<p class='problem' role='alert'>{escape(text)}</p>")


def legend(tally: ClassTally, palette: Palette) -> Markup:
    """Colour, name, share of the pixels and mean confidence of every class that was seen."""
    entries = (
        f"<li>{parts.swatch(palette.colors[k])}<b>{escape(palette.names[k])}</b>"
        f"<span>{escape(percent(tally.shares[k]))}</span>"
        f"<span title='mean confidence'>{tally.confidence[k]:.2f}</span></li>"
        for k in tally.classes
        if k < len(palette.names)
    )
    head = "<p class='columns'>class, share of the pixels, mean confidence</p>"
    return Markup(f"{head}<ul class='legend'>{''.join(entries)}</ul>")


def confidence_scale(palette: Palette) -> Markup:
    """The colours of confidence from 0 to 1."""
    colors = palette.paint_values(np.linspace(0, 1, _RAMP_STEPS)[None])[0].tolist()
    stops = ",".join(f"rgb({red},{green},{blue})" for red, green, blue in colors)
    ramp = f"<i style='background:linear-gradient(90deg,{stops})'></i>"
    return Markup(f"<p class='scale'>confidence 0 {ramp} 1</p>")


def style_table(bank: StyleBank, palette: Palette) -> Markup:
    """Text and cosine before and after mining of each class's patch."""
    names = [bank.header.class_names[k] for k in bank.class_id.tolist()]
    colors = dict(zip(palette.names, palette.colors, strict=True))
    before, after = bank.cosine_before.tolist(), bank.cosine_after.tolist()
    swatches = [parts.swatch(colors[name]) if name in colors else "" for name in names]
    frame = pd.DataFrame(
        {
            "patch of": [a + escape(b) for a, b in zip(swatches, names, strict=True)],
            "text": bank.prompts,
            "cosine before": before,
            "cosine after": after,
            "gain": [f"{b - a:+.3f}" for a, b in zip(before, after, strict=True)],
        },
        dtype=object,  # pandas would take the markup for text
    )
    return parts.table(frame, digits=3)


def draw_difference(before: Prediction, after: Prediction, palette: Palette) -> Image:
    """(H, W, 3) uint8 RGB: new colours where the class changed, elsewhere the image, dark grey."""
    grey = (before.image.mean(axis=2, keepdims=True) * _UNCHANGED).astype(np.uint8)
    changed = (before.classes != after.classes)[..., None]
    return np.where(changed, palette.paint_classes(after.classes), grey)


def percent(share: float) -> str:
    """A share in percent, with a decimal; what is there is never rounded to nothing."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"
