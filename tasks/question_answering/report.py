"""Gathers fine-tuning runs into the paper's Tables 1 and 2.

python -m tasks.question_answering.report --runs=runs --output=results.md
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from absl import logging

from spanbert_keras import program
from spanbert_keras.program import InputError, setting

SQUAD = ("SQuAD 1.1", "SQuAD 2.0")
MRQA = ("NewsQA", "TriviaQA", "SearchQA", "HotpotQA", "NaturalQuestions")
# Joshi et al., 2020, Tables 1 and 2: large models, test sets. EM, F1 and EM, F1; then F1 of MRQA's sets, and the mean.
PUBLISHED = {
    "Google BERT (paper)": (84.3, 91.3, 80.0, 83.3, 68.8, 77.5, 81.7, 78.3, 79.9, 77.3),
    "Our BERT (paper)": (86.5, 92.6, 82.8, 85.9, 71.0, 79.0, 81.8, 80.5, 80.5, 78.6),
    "Our BERT-1seq (paper)": (87.5, 93.3, 83.8, 86.6, 71.9, 80.4, 84.0, 80.3, 81.8, 79.7),
    "SpanBERT (paper)": (88.8, 94.6, 85.7, 88.7, 73.6, 83.6, 84.8, 83.0, 82.5, 81.5),
}


# Settings that do not make another experiment, or that the table shows anyway.
ALIKE = (
    "seed", "seeds", "output_dir", "method", "dataset", "sweep", "sweep_learning_rates", "sweep_batch_sizes",
    "sweep_trials", "log_every", "checkpoint_minutes", "compile", "distribution", "replicas", "accumulation_steps",
    "preemption_exit_code", "patience", "encoder", "train_file", "dev_file", "test_file", "skip_bad_examples",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one report."""

    runs: str = setting(
        "Folder whose runs, at any depth, are gathered by their --method and --dataset.", default="runs"
    )
    output: str | None = setting("Markdown file to write; printed otherwise.", default=None)
    published: bool = setting("Adds the paper's rows.", default=True)


@dataclasses.dataclass(frozen=True)
class Result:
    """The scores of one method on one data set.

    Attributes:
        exact, f1: float. Means over the runs.
        runs: int. How many, e.g. seeds.
        split: str. What was scored, and with which threshold.
    """

    exact: float
    f1: float
    runs: int
    split: str


def main(config: Config) -> None:
    """Writes the tables."""
    results = gather(Path(config.runs))
    if not results:
        raise InputError(f"--runs={config.runs} holds no finished question-answering run (run.json with scores).")
    text = tables(results, config.published)
    if config.output is None:
        print(text)
    else:
        try:
            Path(config.output).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--output={config.output} cannot be written: {error.strerror}.") from error


def gather(folder: Path) -> dict[tuple[str, str], Result]:
    """Returns the results of all finished runs by (method, data set).

    Test scores count where there are any, else dev's: with a threshold fitted on other articles, else on dev itself,
    and labelled so. Runs that differ in their seed alone are averaged; those that differ in other settings stand apart,
    the settings behind the method's name. Of a sweep the chosen run alone counts, of an unfinished one none.
    """
    found: dict[tuple[str, str], list[tuple[dict, Result]]] = {}
    left_out = _unchosen(folder)
    for path in sorted(folder.rglob("run.json")):
        record = {} if path.parent in left_out else _read(path)
        flags, scores = record.get("flags", {}), record.get("scores", {})
        if "train_file" in flags and scores:
            method = flags.get("method") or flags["encoder"]
            key = (method, flags.get("dataset") or Path(flags["dev_file"]).name)
            found.setdefault(key, []).append(({k: v for k, v in flags.items() if k not in ALIKE}, _result(scores)))
    results = {}
    for (method, dataset), runs in found.items():
        for settings, alike in _alike(runs):
            results[f"{method}{settings}", dataset] = _mean(alike)
    return results


def _read(path: Path) -> dict:
    """Returns a record; one that cannot be read counts as none, and is named."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict):
        logging.warning("%s is no record of a run, and left out.", path)
        return {}
    return record


def _unchosen(folder: Path) -> set[Path]:
    """Returns the folders of sweeps, and of their runs but the chosen one."""
    left_out = set()
    for path in folder.rglob("sweep.db"):
        result = path.parent / "sweep.json"
        chosen = json.loads(result.read_text(encoding="utf-8"))["folder"] if result.is_file() else None
        left_out |= {path.parent, *(run.parent for run in path.parent.glob("*/run.json") if run.parent.name != chosen)}
    return left_out


def _result(scores: dict) -> Result:
    """Returns the scores of one run."""
    if "test" in scores:
        test = scores["test"]
        return Result(test.get("exact_match", test.get("exact")), test["f1"], 1, "test")
    dev = scores["dev"]
    if "calibrated_f1" in dev:
        return Result(dev["calibrated_exact"], dev["calibrated_f1"], 1, "dev, articles without the threshold's")
    if "best_f1" in dev:
        return Result(dev["best_exact"], dev["best_f1"], 1, "dev, threshold fitted on it")
    return Result(dev["exact_match"], dev["f1"], 1, "dev")


def _alike(runs: list[tuple[dict, Result]]) -> list[tuple[str, list[Result]]]:
    """Returns runs of equal settings together, each group with what tells it from the others."""
    names = {name for flags, _ in runs for name in flags if any(flags[name] != other.get(name) for other, _ in runs)}
    groups: dict[str, list[Result]] = {}
    for flags, result in runs:
        shown = ", ".join(f"{name}={flags.get(name)}" for name in sorted(names))
        groups.setdefault(f" ({shown})" if shown else "", []).append(result)
    return list(groups.items())


def _mean(runs: list[Result]) -> Result:
    """Returns the mean of runs; of dev and test together only test's."""
    split = "test" if any(run.split == "test" for run in runs) else runs[0].split
    kept = [run for run in runs if run.split == split]
    exact, f1 = (sum(getattr(run, name) for run in kept) / len(kept) for name in ("exact", "f1"))
    return Result(exact, f1, len(kept), split)


def tables(results: Mapping[tuple[str, str], Result], published: bool = True) -> str:
    """Returns both tables, and a third one for data sets that the paper has not."""
    methods = list(dict.fromkeys(method for method, _ in results))
    others = sorted({dataset for _, dataset in results} - {*SQUAD, *MRQA})
    first = _table(
        ["", *(f"{name} {score}" for name in SQUAD for score in ("EM", "F1"))],
        {name: [_number(value) for value in row[:4]] for name, row in PUBLISHED.items() if published}
        | {m: [cell for name in SQUAD for cell in _pair(results.get((m, name)))] for m in methods},
    )
    second = _table(
        ["F1", *MRQA, "average"],
        {name: [_number(value) for value in row[4:]] for name, row in PUBLISHED.items() if published}
        | {m: _with_average([_f1(results.get((m, name))) for name in MRQA]) for m in methods},
    )
    text = f"Table 1: SQuAD\n\n{first}\n\nTable 2: MRQA\n\n{second}"
    if others:
        third = _table(
            ["", *(f"{name} {score}" for name in others for score in ("EM", "F1"))],
            {m: [cell for name in others for cell in _pair(results.get((m, name)))] for m in methods},
        )
        text += f"\n\nOther data\n\n{third}"
    notes = {f"{d}: {r.split}, {r.runs} run{'s' * (r.runs > 1)} ({m})" for (m, d), r in results.items()}
    return text + "\n\nMeasured: " + "; ".join(sorted(notes)) + "."


def _pair(result: Result | None) -> list[str]:
    return ["-", "-"] if result is None else [_number(result.exact), _number(result.f1)]


def _f1(result: Result | None) -> float | None:
    return None if result is None else result.f1


def _with_average(values: list[float | None]) -> list[str]:
    known = [value for value in values if value is not None]
    mean = sum(known) / len(known) if len(known) == len(values) else None
    return [_number(value) for value in (*values, mean)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _table(head: list[str], rows: Mapping[str, list[str]]) -> str:
    """Returns a Markdown table; rows without any number are left out."""
    kept = {name: row for name, row in rows.items() if any(cell != "-" for cell in row)}
    lines = [head, ["---"] * len(head), *([name, *row] for name, row in kept.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    program.run(main, Config)
