"""Settings of fine-tuning and evaluation: the set that a file belongs to, and the columns of your own files."""

import dataclasses

from spanbert_keras.program import InputError, Settings, setting
from tasks.glue.benchmark_set import CUSTOM_SET, SETS, BenchmarkSet, Columns

SEPARATOR = ","
MULTI_LABEL_SCORES = ("micro_f1", "macro_f1", "exact_match")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSettings(Settings):
    """Settings of how files are read; a program adds its own."""

    dataset: str = setting(
        "Set of GLUE, or `own` for your own files.", default=CUSTOM_SET, choices=(*SETS, CUSTOM_SET), changeable=True
    )
    text_column: str = setting(
        "Own files: column or key of the text. In a table without a header, the number of the column from 1 (then give "
        "every column as a number; a header with these names takes precedence).",
        default="text",
        changeable=True,
    )
    pair_column: str | None = setting(
        "Own files of pairs: column, key or number of the second text.", default=None, changeable=True
    )
    label_column: str = setting("Own files: column, key or number of the label.", default="label", changeable=True)
    regression: bool = setting(
        "Own files: reads labels as numbers; in JSON lines also as lists of numbers.", default=False
    )
    target_columns: tuple[str, ...] = setting(
        "Own files with --regression: columns, keys or numbers of several targets, with commas; saved with the model.",
        default=(),
        changeable=True,
    )
    multi_label: bool = setting(
        "Own files: allows several labels per text, or none: a list in JSON lines, in a table a cell with "
        "--label_separator.",
        default=False,
        changeable=True,
    )
    label_separator: str = setting(
        "Own tables with --multi_label: separator of labels in a cell.", default=SEPARATOR, changeable=True
    )
    score: str = setting(
        "Own files with classes: score that selects the best model: accuracy, macro_f1 or matthews; with --multi_label "
        "micro_f1 (its default), macro_f1 or exact_match.",
        default="accuracy",
        choices=("accuracy", "macro_f1", "matthews", "micro_f1", "exact_match"),
    )

    def benchmark_set(self) -> BenchmarkSet:
        """Returns the set of GLUE, or one for your own files.

        Raises:
            InputError: flags for your own files are given for a set of GLUE, or contradict each other.
        """
        if self.dataset != CUSTOM_SET:
            given = [field.name for field in dataclasses.fields(FileSettings) if field.name != "dataset"]
            given = [name for name in given if getattr(self, name) != getattr(FileSettings, name)]
            if given:
                raise InputError(
                    f"--dataset={self.dataset} has fixed columns and scores; leave out the flags for your own files. "
                    f"Received: --{', --'.join(given)}."
                )
            return SETS[self.dataset]
        self._check_custom()
        columns = Columns(self.text_column, self.pair_column, self.target_columns or self.label_column)
        if self.regression:
            return BenchmarkSet(CUSTOM_SET, columns, (), ("pearson", "spearman"))
        if not self.multi_label:
            return BenchmarkSet(CUSTOM_SET, columns, None, (self.score,))
        columns = dataclasses.replace(columns, separator=self.label_separator)
        chosen = self.score if self.score in MULTI_LABEL_SCORES else MULTI_LABEL_SCORES[0]
        return BenchmarkSet(CUSTOM_SET, columns, None, MULTI_LABEL_SCORES, chosen=(chosen,))

    def _check_custom(self) -> None:
        """Raises `InputError` if the flags for your own files contradict each other."""
        if self.multi_label and self.regression:
            raise InputError("--multi_label and --regression exclude each other. Received: both.")
        if self.target_columns and (not self.regression or self.label_column != FileSettings.label_column):
            raise InputError(
                "--target_columns needs --regression and replaces --label_column. Received: "
                f"--target_columns={','.join(self.target_columns)}, --label_column={self.label_column}, "
                f"--{'' if self.regression else 'no'}regression."
            )
        if len(set(self.target_columns)) < len(self.target_columns):
            raise InputError(f"--target_columns must be different columns. Received: {','.join(self.target_columns)}.")
        if self.label_separator != SEPARATOR and not self.multi_label:
            raise InputError("--label_separator needs --multi_label.")
        if not self.label_separator:
            raise InputError("--label_separator must be text. Received: nothing.")
        wrong = ("matthews",) if self.multi_label else MULTI_LABEL_SCORES[::2] if not self.regression else ()
        if self.score in wrong:
            kind = "several labels for each text" if self.multi_label else "one label for each text"
            raise InputError(f"--score={self.score} does not fit files with {kind} (--multi_label).")
