"""Parts of the report about where styles lie: the projection, and the distances of classes."""

from ...styles import StyleBank
from ..html import figure_png, picture, section, svg
from .class_colors import ClassColors
from .distances import class_distances, style_points
from .part import Part
from .plane_figures import distance_figure, projection_figure
from .projection import ProjectionError, project
from .tally import style_prompts

_ABOUT_DISTANCES = (
    "Distance of the mean styles of two classes, sqrt(|difference of means|\u00b2 + |difference of "
    "standard deviations|\u00b2) over all channels: how much restyling with the one and with the "
    "other differ. Where no deviation is negative it is the 2-Wasserstein (Fr\u00e9chet) distance "
    "of diagonal Gaussians (Dowson and Landau, 1982). On the diagonal: root mean square distance "
    "of a class's styles from their mean."
)


def projection_part(bank: StyleBank, colors: ClassColors, *, method: str) -> Part:
    """Styles in a plane, or why there is none.

    Raises:
        ImportError: if what the method needs is not installed.
    """
    heading = "Styles in a plane"
    try:
        projection = project(style_points(bank.mean, bank.std), method=method)
    except ProjectionError as error:
        return Part(section(heading, str(error)))
    names = {k: name for name, k in bank.header.labels.items()}
    figure = projection_figure(
        projection,
        classes=[names[k] for k in bank.class_id.tolist()],
        prompts=style_prompts(bank),
        colors=colors,
    )
    png = figure_png(figure)
    # On white whatever the page is: half of the classes' colours are dark.
    shown = picture(png, "Every style as a point, coloured by class and by style prompt")
    about = "Means and standard deviations of all channels of each style, projected to a plane."
    return Part(section(heading, about, shown), files={projection_file(method): png})


def projection_file(method: str) -> str:
    """Name of the picture of a projection."""
    return f"projection_{method}.png"


def distances_part(bank: StyleBank) -> Part:
    """Distances between classes and the spread within each."""
    figure = distance_figure(class_distances(bank))
    drawing = svg(figure, "Matrix of the distances between classes")
    return Part(
        section("Distances between classes", _ABOUT_DISTANCES, drawing),
        files={"class_distances.png": figure_png(figure)},
    )
