"""The picture of a race: one bar for each side, with the range over the turns."""

from pathlib import Path

from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable

OWN, OTHERS = "#1f6feb", "#8b949e"


def check_picture(path: str) -> None:
    """Raises `InputError` if a picture cannot be written: before the race, not after it."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as error:
        raise InputError(
            'A picture needs matplotlib. Install it with `pip install "spanbert-keras[classification]"`.'
        ) from error
    known = sorted(FigureCanvasAgg.get_supported_filetypes())
    if Path(path).suffix.removeprefix(".") not in known:
        raise InputError(f"--picture={path} has no known ending. Expected: one of {', '.join(known)}.")
    with input_error_if_unwritable(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)


def draw_race(path: str, ratios: dict[str, list[float]], reference: str, title: str) -> None:
    """Writes a bar chart of medians, the fastest side at the top.

    Args:
        path: str. Picture to write.
        ratios: dict from the name of a side to its speed by the reference's, for each turn.
        reference: str. The side that others are compared with.
        title: str.
    """
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    names = sorted(ratios, key=lambda name: float(np.median(ratios[name])))
    medians = np.array([np.median(ratios[name]) for name in names])
    lowest, highest = (np.array([extreme(ratios[name]) for name in names]) for extreme in (min, max))
    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.3 * len(names)))
    colours = [OWN if name.startswith("ours") else OTHERS for name in names]
    axes.barh(names, medians, color=colours, xerr=[medians - lowest, highest - medians], ecolor="#444", capsize=2)
    for place, (median, end) in enumerate(zip(medians, highest, strict=True)):
        label = axes.annotate(f"{median:.2f}", (end, place), xytext=(4, 0), textcoords="offset points", va="center")
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlim(0, 1.12 * highest.max())
    axes.set_xlabel(f"speed by that of {reference}; lines: range over the turns")
    axes.set_title(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
