"""Gathers finished fine-tuning runs into tables."""

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from absl import logging
from typing_extensions import TypedDict

from spanbert_keras.files.json_files import read_json
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.program import InputError, Settings, setting

# Settings that do not make another experiment, or that a table shows anyway.
IGNORED_SETTINGS = (
    "seed",
    "seeds",
    "output_dir",
    "method",
    "dataset",
    "sweep",
    "sweep_learning_rates",
    "sweep_batch_sizes",
    "sweep_trials",
    "log_every",
    "checkpoint_minutes",
    "compile",
    "distribution",
    "replicas",
    "accumulation_steps",
    "preemption_exit_code",
    "patience",
    "encoder",
    "train_file",
    "dev_file",
    "test_file",
    "train_labels",
    "dev_labels",
    "test_labels",
    "skip_bad_examples",
    "data_dir",
    "diagnostic_file",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportSettings(Settings):
    """Settings of one report; a program may add its own."""

    runs: str = setting(
        "Folder of the runs, at any depth, which are grouped by --method and --dataset.", default="runs", path=True
    )
    output: str | None = setting("Markdown file to write. Default: the terminal.", default=None, path=True)
    published: bool = setting("Adds the results of the paper.", default=True)

    def write_or_print(self, text: str) -> None:
        """Writes or prints the report.

        Raises:
            InputError: the file cannot be written.
        """
        if self.output is None:
            print(text)
            return
        try:
            Path(self.output).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--output={self.output} cannot be written: {error.strerror}.") from error


class _Flags(TypedDict):
    """The flags of a run that tables show or group by."""

    encoder: NotRequired[str]
    method: NotRequired[str | None]
    dataset: NotRequired[str | None]
    dev_file: NotRequired[str | None]
    seed: NotRequired[int | None]


class _Record(TypedDict):
    """What tables need of a `run.json`."""

    flags: NotRequired[_Flags | None]
    scores: NotRequired[dict[str, dict[str, Any] | None] | None]


def find_runs(
    folder: Path, is_wanted: Callable[[dict], bool], figures: Callable[[dict], Sequence[Any]] | None = None
) -> list[dict]:
    """Returns the records of all finished runs, with their folder under `folder`.

    A sweep counts with its chosen run, an unfinished one not at all.

    Args:
        folder: `Path`. Searched at any depth.
        is_wanted: function of a record, with `flags` and `scores`, that returns whether it belongs to the task.
        figures: function of such a record that returns the numbers that the report takes from it. A record in which
            one is missing, or not a number, is left out with a log line.
    """
    left_out = _unchosen(folder)
    records = (_read(path) for path in sorted(folder.rglob("run.json")) if path.parent not in left_out)
    return [record for record in records if record and is_wanted(record) and _is_complete(record, figures)]


def is_number(value: Any) -> bool:
    """Returns whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _is_complete(record: dict, figures: Callable[[dict], Sequence[Any]] | None) -> bool:
    """Returns whether a record has all that a report takes from it; logs one that does not."""
    if figures is None:
        return True
    flags = record["flags"]
    try:
        complete = all(map(is_number, figures(record)))
    except KeyError:
        complete = False
    if complete and (flags.get("method") or flags.get("encoder")) and (flags.get("dataset") or flags.get("dev_file")):
        return True
    logging.warning("%s lacks flags or scores of a finished run and is left out.", record["folder"] / "run.json")
    return False


def group_runs(records: Sequence[dict]) -> dict[tuple[str, str], list[dict]]:
    """Returns runs by (method, data set).

    Runs that only differ in their seed form one group, each seed once: the chosen run of a sweep and another run with
    its settings and seed are one experiment. Runs that differ in other settings are separate groups, with these
    settings after the method's name.
    """
    found: dict[tuple[str, str], list[dict]] = {}
    for record in records:
        flags = record["flags"]
        dataset = flags.get("dataset") or Path(flags["dev_file"]).name
        found.setdefault((method_of(record), dataset), []).append(record)
    return {
        (f"{method}{settings}", dataset): _each_seed_once(alike)
        for (method, dataset), runs in found.items()
        for settings, alike in _group_by_settings(runs)
    }


def method_of(record: dict) -> str:
    """Returns the name of a run's encoder in a table."""
    return record["flags"].get("method") or record["flags"]["encoder"]


def scores_of(records: Sequence[dict]) -> tuple[str, list[dict]]:
    """Returns the split that a group of runs is reported on, and the scores of its runs on it.

    Test takes precedence over dev: if some runs have test scores, only those count.
    """
    split = "test" if any("test" in record["scores"] for record in records) else "dev"
    return split, [record["scores"][split] for record in records if split in record["scores"]]


def number_of_runs(values: Sequence[float]) -> str:
    """Returns the number of runs and the standard deviation of their scores in words."""
    if len(values) == 1:
        return "1 run"
    return f"{len(values)} runs, standard deviation {statistics.stdev(values):.1f}"


def _each_seed_once(records: list[dict]) -> list[dict]:
    """Returns the first run of each seed from the same encoder on the same data."""
    first: dict[tuple, dict] = {}
    for record in records:
        flags = record["flags"]
        key = (flags.get("seed"), flags.get("encoder"), json.dumps(record.get("facts"), sort_keys=True))
        if first.setdefault(key, record) is not record:
            logging.info("%s repeats %s and is left out.", record["folder"], first[key]["folder"])
    return list(first.values())


def _read(path: Path) -> dict:
    """Returns the record of a finished run, {} for any other; logs one that cannot be read."""
    try:
        record = read_json(path, _Record)
    except (OSError, ValueError) as error:
        logging.warning("%s is not a record of a run and is left out: %s.", path, error)
        return {}
    if not (record.get("flags") and record.get("scores")):
        return {}
    record["scores"] = {split: scores for split, scores in record["scores"].items() if scores}
    present = FineTuningSettings.former_names()  # a run of an earlier version has other names of some settings
    flags = {present.get(name, name): value for name, value in record["flags"].items()}
    return record | {"folder": path.parent, "flags": flags}


def _unchosen(folder: Path) -> set[Path]:
    """Returns the folders of sweeps, and of all their runs except the chosen ones."""
    left_out = set()
    files = (*folder.rglob("sweep.json"), *folder.rglob("sweep.db"))  # Optuna's file, of earlier versions
    for sweep in {file.parent for file in files}:
        try:
            chosen = read_json(sweep / "sweep.json", dict[str, Any]).get("folder")
        except (OSError, ValueError):
            chosen = None
        left_out |= {sweep, *(run.parent for run in sweep.glob("*/run.json") if run.parent.name != chosen)}
    return left_out


def _group_by_settings(records: list[dict]) -> list[tuple[str, list[dict]]]:
    """Returns groups of runs with equal settings, each with the settings in which the groups differ."""
    every = [
        {name: value for name, value in record["flags"].items() if name not in IGNORED_SETTINGS} for record in records
    ]
    names = {name for flags in every for name in flags if any(flags[name] != other.get(name) for other in every)}
    groups: dict[str, list[dict]] = {}
    for flags, record in zip(every, records, strict=True):
        settings = ", ".join(f"{name}={flags.get(name)}" for name in sorted(names))
        groups.setdefault(f" ({settings})" if settings else "", []).append(record)
    return list(groups.items())


def number(value: float | None) -> str:
    """Returns a figure with one decimal, "-" for none."""
    return "-" if value is None else f"{value:.1f}"


def mean_of(values: Sequence[float | None]) -> float | None:
    """Returns the mean, `None` if a value is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def markdown_table(head: list[str], rows: Mapping[str, list[str]]) -> str:
    """Returns a Markdown table without rows that have no figures."""
    kept = {name: row for name, row in rows.items() if any(cell != "-" for cell in row)}
    lines = [head, ["---"] * len(head), *([name, *row] for name, row in kept.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
