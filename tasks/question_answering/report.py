"""Gathers fine-tuning runs into the paper's Tables 1 and 2.

python -m tasks.question_answering.report --runs=runs --output=results.md
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError, setting

SQUAD = ("SQuAD 1.1", "SQuAD 2.0")
MRQA = ("NewsQA", "TriviaQA", "SearchQA", "HotpotQA", "NaturalQuestions")
# Joshi et al., 2020, Tables 1 and 2: large models, test sets. EM, F1 and EM, F1; then F1 of MRQA's sets.
PUBLISHED = {
    "Google BERT (paper)": (84.3, 91.3, 80.0, 83.3, 68.8, 77.5, 81.7, 78.3, 79.9),
    "Our BERT (paper)": (86.5, 92.6, 82.8, 85.9, 71.0, 79.0, 81.8, 80.5, 80.5),
    "Our BERT-1seq (paper)": (87.5, 93.3, 83.8, 86.6, 71.9, 80.4, 84.0, 80.3, 81.8),
    "SpanBERT (paper)": (88.8, 94.6, 85.7, 88.7, 73.6, 83.6, 84.8, 83.0, 82.5),
}


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
        split: `"test"` or `"dev"`.
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
        Path(config.output).write_text(text + "\n", encoding="utf-8")


def gather(folder: Path) -> dict[tuple[str, str], Result]:
    """Returns the results of all finished runs by (method, data set); test scores where there are any, else dev's.

    Of a sweep the chosen run alone counts.
    """
    found: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    unchosen = _unchosen(folder)
    for path in sorted(folder.rglob("run.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        flags, scores = record.get("flags", {}), record.get("scores", {})
        if path.parent in unchosen or "train_file" not in flags or not scores:
            continue
        split = "test" if "test" in scores else "dev"
        of_split = scores[split]
        f1 = of_split["best_f1"] if split == "dev" and "best_f1" in of_split else of_split["f1"]
        exact = of_split["best_exact"] if split == "dev" and "best_exact" in of_split else of_split.get(
            "exact_match", of_split.get("exact")
        )  # fmt: skip
        method = flags.get("method") or flags["encoder"]
        found.setdefault((method, flags.get("dataset") or Path(flags["dev_file"]).name), []).append((split, exact, f1))
    return {key: _mean(runs) for key, runs in found.items()}


def _unchosen(folder: Path) -> set[Path]:
    """Returns the folders of runs that a sweep made and did not choose."""
    left_out = set()
    for path in folder.rglob("sweep.json"):
        chosen = json.loads(path.read_text(encoding="utf-8"))["chosen"]
        name = f"rate_{chosen['learning_rate']:g}_batch_{chosen['batch_size']}"
        left_out |= {run.parent for run in path.parent.glob("*/run.json") if run.parent.name != name}
    return left_out


def _mean(runs: list[tuple[str, float, float]]) -> Result:
    """Returns the mean of runs; of dev and test together only test's."""
    split = "test" if any(run[0] == "test" for run in runs) else "dev"
    kept = [run for run in runs if run[0] == split]
    return Result(sum(r[1] for r in kept) / len(kept), sum(r[2] for r in kept) / len(kept), len(kept), split)


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
        {name: _with_average([*row[4:]]) for name, row in PUBLISHED.items() if published}
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
