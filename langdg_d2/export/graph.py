"""A segmentor as a graph of tensors, for any number of images of any one size."""

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ..modeling import LangDGSegmentor
from ..utils.errors import LangDGError

INPUT = "images"
# What a graph can give, and how: N images, C classes.
RESULTS = {
    "logits": {"dtype": "float32", "layout": "NCHW"},
    "classes": {"dtype": "uint8", "layout": "NHW"},
}

# Two images, of sides that no stride divides: what a trace finds equal to 1, or to each other, it
# takes for a constant.
_EXAMPLE = (2, 3, 70, 101)


class SegmentorGraph(nn.Module):
    """What a segmentor does in evaluation with images of one size, tensors in and out.

    Args:
        model: shared, not copied; put into eval mode, its weights into torch's default layout,
            since a trace of another one is bound to some sizes of images.
        result: "logits", or "classes" for the train id of the largest one.

    Raises:
        LangDGError: for another result.
    """

    def __init__(self, *, model: LangDGSegmentor, result: str = "logits") -> None:
        super().__init__()
        require_result(result)
        self.model = model.eval().to(memory_format=torch.contiguous_format)
        self.result = result

    def forward(self, images: Tensor) -> Tensor:
        """Predict every pixel.

        Args:
            images: (N, 3, H, W) uint8 RGB; normalising them is part of the graph.

        Returns:
            Logits (N, classes, H, W) float32, or classes (N, H, W) uint8.
        """
        logits = self.model.logits(self.model.normalize(images))
        return logits if self.result == "logits" else logits.argmax(dim=1).to(torch.uint8)


def require_result(result: str) -> None:
    """See that a result is one of `RESULTS`.

    Raises:
        LangDGError: if it is not.
    """
    if result not in RESULTS:
        raise LangDGError(f"result '{result}', expected one of {', '.join(RESULTS)}")


def trace(graph: SegmentorGraph) -> ExportedProgram:
    """The graph as `torch.export` sees it; number, height and width of the images stay open.

    Images must be at least `smallest_side` high and wide.
    """
    example = torch.zeros(_EXAMPLE, dtype=torch.uint8, device=graph.model.device)
    shapes = dynamic_shapes(smallest_side(graph.model))
    with torch.no_grad():
        program = torch.export.export(graph, (example,), dynamic_shapes=shapes, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine, more text than all the rest
    return program


def dynamic_shapes(side: int) -> tuple[dict[int, Dim], ...]:
    """Names and bounds of the axes that stay open, for `torch.export` and `torch.onnx`.

    Args:
        side: the least height and width in pixels.
    """
    return ({0: Dim("batch", min=1), 2: Dim("height", min=side), 3: Dim("width", min=side)},)


def smallest_side(model: LangDGSegmentor) -> int:
    """Least height and width in pixels of images: the coarsest features have two rows and columns.

    A trace takes what is 1 for a constant, so that one row is more than a graph can say.
    """
    return 2 * max(feature.stride for feature in model.backbone.output_shape().values())
