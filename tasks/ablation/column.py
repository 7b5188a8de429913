"""The tasks on which pre-trainings are compared, and the dev score of a run."""

import dataclasses
import importlib
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.ablation.embedded_tasks import FILES as EMBEDDED_FILES
from tasks.ablation.embedded_tasks import SPLITS
from tasks.glue.report import COLUMN_SCORES
from tasks.shared.run_tables import is_number

PROGRAMS = {
    "question_answering": "tasks.question_answering.finetune",
    "coreference": "tasks.coreference.finetune",
    "relation_extraction": "tasks.relation_extraction.finetune",
    "classification": "tasks.glue.finetune",
}
PAIR_COLUMNS = ("--text_column=sentence1", "--pair_column=sentence2", "--label_column=label")
NAMED = re.compile(r"[^:=]*:")  # a name before its flag file
FILE_SETTINGS = ("train_file", "dev_file", "test_file", "data_dir")
MNLI_MATCHED, GLUE_AVERAGE, GLUE_WITH_WNLI = "MNLI-m", "GLUE average", "GLUE average with WNLI"
AVERAGED = tuple(name for name in COLUMN_SCORES if name != "WNLI")  # the eight sets
WNLI_MAJORITY = 100 * 40 / 71  # accuracy of the more frequent label on the 71 dev pairs


@dataclasses.dataclass(frozen=True)
class Column:
    """One data set to fine-tune on.

    Attributes:
        name: str. The data set; its name in the tables and in the names of folders.
        program: str, a key of `PROGRAMS`.
        arguments: tuple of str. Flags of the program, e.g. a flag file.
    """

    name: str
    program: str
    arguments: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The name as that of a folder: `"SQuAD 2.0"` is `squad_2.0`."""
        return self.name.lower().replace(" ", "_").replace("/", "_")

    @property
    def settings(self) -> type:
        """Class of the program's settings."""
        return importlib.import_module(PROGRAMS[self.program]).Config

    def parsed(self) -> Any:
        """Returns the program's settings, with a placeholder for the encoder.

        Raises:
            InputError: the program does not take the arguments.
        """
        try:
            return program.parse(self.settings, [*self.arguments, "--encoder=encoder", "--output_dir=output"])
        except (flags.Error, InputError) as error:
            given = " ".join(self.arguments)
            raise InputError(f"The flags of {self.name}, {given}, cannot be used: {error}") from error

    def missing_files(self) -> list[str]:
        """Returns the data files and folders that do not exist."""
        settings = self.parsed()
        found = [getattr(settings, name, None) or () for name in FILE_SETTINGS]
        paths = [path for value in found for path in ((value,) if isinstance(value, str) else value)]
        return [path for path in paths if not Path(path).exists()]

    def score(self, record: Mapping) -> float | None:
        """Returns the dev score of a finished run's record by which Tables 6 and 7 compare, `None` without one."""
        dev = (record.get("scores") or {}).get("dev") or {}
        return next((float(dev[name]) for name in self._scores if is_number(dev.get(name))), None)

    @property
    def _scores(self) -> tuple[str, ...]:
        """Names of the score, the first of them that a record has."""
        if self.program == "classification":
            return ("accuracy", "score") if self.name == "MNLI" else ("score",)
        return {"question_answering": ("best_f1", "f1"), "coreference": ("average_f1",)}.get(self.program, ("f1",))

    @property
    def title(self) -> str:
        """Heading in the tables."""
        return MNLI_MATCHED if self.name == "MNLI" else self.name


def parse_columns(program: str, values: Sequence[str]) -> list[Column]:
    """Returns the columns of a flag such as `--coreference=Coreference:configs/coreference_base.flags --dev_file=dev`.

    Raises:
        InputError: a value is not name:flag file with further flags, the file does not exist, or a name is given twice.
    """
    columns: list[Column] = []
    for value in _joined(values):
        name, _, rest = value.partition(":")
        name = name.strip()
        try:
            path, *more = shlex.split(rest)
        except ValueError:
            path, more = "", []
        if not (name and path) or not all(flag.startswith("--") for flag in more):
            raise InputError(
                f"--{program} must be name:flag file, with further flags after spaces, separated by commas, such as "
                f"RTE:configs/glue_rte.flags --data_dir=RTE. Received: {value!r}."
            )
        if not Path(path).is_file():
            raise InputError(f"--{program}: the flag file {path} of {name} does not exist.")
        if name in (column.name for column in columns):
            raise InputError(f"--{program} names {name} twice. Give each data set a name of its own.")
        columns.append(Column(name, program, (f"--flagfile={path}", *more)))
    return columns


def _joined(values: Sequence[str]) -> list[str]:
    """Returns the values of a flag with lists of files, which have commas too, put together again."""
    joined: list[str] = []
    for value in values:
        if joined and not NAMED.match(value):
            joined[-1] += f",{value}"
        else:
            joined.append(value)
    return joined


def glue_columns(folder: Path) -> list[Column]:
    """Returns the sets of GLUE that have a folder of their name, with the recipes of `configs/`."""
    recipes = {name: f"configs/glue_{name.lower().replace('-', '')}.flags" for name in COLUMN_SCORES}
    return [
        Column(name, "classification", (f"--flagfile={recipe}", f"--data_dir={folder / name}"))
        for name, recipe in recipes.items()
        if (folder / name).is_dir()
    ]


def embedded_columns(folder: Path) -> list[Column]:
    """Returns the data sets of `embedded_tasks`, with flags for small encoders of short rows."""
    common = ("--evaluations_per_epoch=1", "--log_every=20", "--precision=float32")
    short = ("--max_sequence_length=128", "--batch_size=16", "--learning_rate=3e-4", "--epochs=2")
    names = {kind: [str(folder / f"{split}_{kind}") for split in SPLITS] for kind in EMBEDDED_FILES}

    def files(kind: str) -> tuple[str, str]:
        return f"--train_file={names[kind][0]}", f"--dev_file={names[kind][1]}"

    mentions = ("--segment_length=64", "--max_training_segments=2", "--hidden_dim=50", "--max_span_width=4")
    return [
        Column(
            "Missing words (embedded)",
            "question_answering",
            (*files(EMBEDDED_FILES[0]), *short, "--stride=64", "--max_answer_pieces=12", *common),
        ),
        Column(
            "Repeated words (embedded)", "coreference", (*files(EMBEDDED_FILES[2]), *mentions, "--epochs=2", *common)
        ),
        Column(
            "Next sentences (embedded)", "classification", (*files(EMBEDDED_FILES[1]), *PAIR_COLUMNS, *short, *common)
        ),
    ]


def glue_averages(records: Mapping[str, Mapping]) -> dict[str, float | None]:
    """Returns the mean of the eight GLUE sets, and that with WNLI's majority; `None` unless all eight are there.

    MNLI counts with the mean of both dev sets; sets with two scores count with their mean. The paper does not say
    whether its average has WNLI: usual dev scores of a large model give about 84 without it, like Tables 6 and 7.

    Args:
        records: dict from the name of a set to the record of a finished run.
    """
    scores = []
    for name in AVERAGED:
        dev = (records.get(name, {}).get("scores") or {}).get("dev") or {}
        values = [dev.get(score) for score in COLUMN_SCORES[name]]
        if not all(map(is_number, values)):
            return {GLUE_AVERAGE: None, GLUE_WITH_WNLI: None}
        scores.append(sum(values) / len(values))
    return {
        GLUE_AVERAGE: sum(scores) / len(scores),
        GLUE_WITH_WNLI: (sum(scores) + WNLI_MAJORITY) / (len(scores) + 1),
    }
