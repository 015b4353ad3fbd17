"""What a style bank holds, in pictures."""

from .distances import class_distances, style_points, typical_styles
from .nearest_patches import NearestPatches, Neighbors, SourcePatch
from .patch_reader import PatchReader
from .projection import METHODS, ProjectionError, project, require_method
from .report import write_style_report
from .search import StyleNeighbors, chosen_styles, search_patches

__all__ = [
    "METHODS",
    "NearestPatches",
    "Neighbors",
    "PatchReader",
    "ProjectionError",
    "SourcePatch",
    "StyleNeighbors",
    "chosen_styles",
    "class_distances",
    "project",
    "require_method",
    "search_patches",
    "style_points",
    "typical_styles",
    "write_style_report",
]
