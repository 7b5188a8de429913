"""Plots the losses of a run, and the unigram baseline.

    python benchmarks/curve.py --run=runs/small --output=curve.png

Reads the run's TensorBoard files (scalars of `heldout_span/`, or `--curve=train`), also during the run.
"""

import dataclasses
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting

LINES = {
    "masked_lm/loss_masked": "masked LM",
    "span_boundary/loss_masked": "span boundary objective",
    "masked_lm/unigram_loss_masked": "unigram baseline",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the picture."""

    run: str = setting("Output directory of a pre-training run.", path=True)
    output: str = setting("Picture to write, e.g. a .png file.", path=True)
    curve: str = setting("Folder of the scalars: a held-out set, or train.", default="heldout_span")


def read_scalars(folder: Path, tags) -> dict[str, dict[int, float]]:
    """Returns step -> value for each tag that the event files of a folder hold."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    known = set(events.Tags()["tensors"]) & set(tags)
    return {tag: {e.step: float(make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)} for tag in known}


def title(curve: str) -> str:
    """Returns the title of the picture, given the folder of its scalars."""
    text = "training text" if curve == "train" else f"held-out text, {curve.removeprefix('heldout_')} masking"
    return f"Loss on tokens replaced by [MASK] ({text.replace('_', ' ')})"


def main(config: Config) -> None:
    """Draws the losses of tokens that were replaced by [MASK]."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    scalars = read_scalars(Path(config.run) / config.curve, LINES)
    if not scalars:
        raise InputError(f"--run={config.run} has no scores in {config.curve}/ yet.")
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for tag, name in LINES.items():
        if tag in scalars:
            points = sorted(scalars[tag].items())
            style = {"color": "gray", "linestyle": "--"} if "unigram" in tag else {"marker": ".", "markersize": 4}
            axes.plot([step for step, _ in points], [value for _, value in points], label=name, **style)
    axes.set_xlabel("step")
    axes.set_ylabel("nats per token")
    axes.set_title(title(config.curve))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    Path(config.output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(config.output, dpi=110)


if __name__ == "__main__":
    program.run(main, Config)
