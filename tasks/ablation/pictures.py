"""Pictures of an ablation: a panel of bars for each data set, and held-out losses during pre-training."""

import dataclasses
import itertools
from pathlib import Path

from absl import logging

from spanbert_keras.files.writing import write_atomically
from tasks.ablation.plan import Plan
from tasks.ablation.pretrainings import PRETRAININGS, flags_of
from tasks.ablation.results import TITLES, Results, rows_of, title_of
from tasks.shared.ablation_tables import PUBLISHED, TASKS
from tasks.shared.extras import CLASSIFICATION, load

SCHEMES = ("span", "subword")  # masks of the held-out text, the same for every row
LOSS = "masked_lm/loss_masked"
MARGIN = 0.1  # share of the range of a panel's figures that is added to it


def need_library() -> None:
    """Raises if matplotlib is missing: better now than after all runs.

    Raises:
        InputError: matplotlib is not installed.
    """
    load("matplotlib", CLASSIFICATION)


def draw_table(path: Path, results: Results, table: str) -> None:
    """Draws the scores of a table: bars with the standard deviation over runs, the paper's figure as a line."""
    names = rows_of(results, table)
    tasks = [task for task in results.tasks if any(results.values.get((row, task)) for row in names)]
    if not tasks:
        return
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(
        1, len(tasks), figsize=(1.5 + 2.4 * len(tasks), 1.2 + 0.45 * len(names)), layout="constrained", squeeze=False
    )
    for panel, task in zip(panels[0], tasks, strict=True):
        means = [results.mean(row, task) for row in names]
        errors = [results.deviation(row, task) or 0.0 for row in names]
        for place, (mean, error) in enumerate(zip(means, errors, strict=True)):
            if mean is not None:
                panel.barh(place, mean, xerr=error, color=f"C{place}", alpha=0.8, capsize=2, ecolor="gray")
        published = [
            (place, PUBLISHED[row][TASKS.index(task)])
            for place, row in enumerate(names)
            if row in PUBLISHED and task in TASKS and table != "main"
        ]
        for place, value in published:
            panel.plot([value, value], [place - 0.4, place + 0.4], color="black", linewidth=1.5)
        bars = [(mean, error) for mean, error in zip(means, errors, strict=True) if mean is not None]
        ends = [mean + sign * error for mean, error in bars for sign in (-1, 1)]
        shown = ends + [value for _, value in published]
        margin = MARGIN * max(max(shown) - min(shown), 5.0)
        panel.set_xlim(max(0.0, min(shown) - 2 * margin), min(101.0, max(shown) + margin))
        panel.set_title(task, fontsize=9, parse_math=False)
        panel.set_yticks(range(len(names)), [title_of(row, table) for row in names], fontsize=8, parse_math=False)
        panel.invert_yaxis()
        panel.tick_params(axis="x", labelsize=8)
        if panel is not panels[0][0]:
            panel.set_yticklabels([])
    figure.suptitle(f"{TITLES[table]} (dev; axes do not begin at 0; black lines: the paper)", fontsize=9)
    _save(figure, path)


def draw_curves(path: Path, plan: Plan) -> None:
    """Draws the held-out loss of [MASK] tokens against the tokens seen, all rows on the same rows and masks."""
    pyplot = _pyplot()
    segments = sorted({int(PRETRAININGS[row]["segments"]) for row in plan.config.row_names})
    sets = list(itertools.product(segments, SCHEMES))
    figure, panels = pyplot.subplots(
        len(segments), len(SCHEMES), figsize=(12, 4.5 * len(segments)), layout="constrained", squeeze=False
    )
    drawn = []
    for panel, (number_of_segments, scheme) in zip(panels.flat, sets, strict=True):
        for number, row in enumerate(plan.config.row_names):
            own = PRETRAININGS[row]["segments"] == number_of_segments
            name = f"heldout_{scheme}" if own else f"heldout_{scheme}_{number_of_segments}seq"
            folder = plan.pretraining_folder(row, plan.pretraining_seeds[0]) / name
            points = sorted(read_scalar(folder, LOSS).items()) if folder.is_dir() else []
            if points:
                drawn.append(panel)
                steps, losses = zip(*points, strict=True)
                tokens = [_tokens_seen(plan, row, step) for step in steps]
                panel.plot(tokens, losses, marker=".", color=f"C{number}", label=row)
        form = "pairs of segments" if number_of_segments == 2 else "single sequences"
        panel.set_title(f"held-out {form}, {scheme} masks", fontsize=10)
        panel.set_xlabel("tokens seen, with padding")
        panel.grid(alpha=0.3)
    for panel in panels[:, 0]:
        panel.set_ylabel("masked-LM loss of [MASK], nats per token")
    if drawn:
        drawn[0].legend(fontsize=8)
        _save(figure, path)


def _tokens_seen(plan: Plan, row: str, step: int) -> int:
    """Returns the tokens of the first steps of a pre-training, with padding."""
    recipe, total = plan.config.recipe, 0
    phases = flags_of(row, recipe).get("phases", recipe.phases)
    for phase in dataclasses.replace(recipe, phases=phases).phase_list:
        steps = min(step, phase.steps)
        total += steps * recipe.rows_of(phase.row_length) * phase.row_length
        step -= steps
    return total


def read_scalar(folder: Path, tag: str) -> dict[int, float]:
    """Returns step -> value of a tag in a folder's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)  # it logs that it waits for more
    events.Reload()
    logging.set_verbosity(verbosity)
    if tag not in events.Tags()["tensors"]:
        return {}
    return {event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)}


def _pyplot():
    load("matplotlib", CLASSIFICATION).use("Agg")
    return load("matplotlib.pyplot", CLASSIFICATION)


def _save(figure, path: Path) -> None:
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120))
    _pyplot().close(figure)
