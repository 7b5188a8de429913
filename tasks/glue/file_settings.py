"""Which set a file belongs to, and where one's own has what: settings of fine-tuning and evaluation."""

import dataclasses

from spanbert_keras.program import InputError, Settings, setting
from tasks.glue.benchmark_set import OWN, SETS, BenchmarkSet, Columns

SEPARATOR = ","
OF_SEVERAL = ("micro_f1", "macro_f1", "exact_match")  # scores of texts with several labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSettings(Settings):
    """Settings that tell how files are read; a program adds its own."""

    dataset: str = setting("A set of GLUE, or one's own files.", default=OWN, choices=(*SETS, OWN), changeable=True)
    text_column: str = setting(
        "Own files: the column or key of the text. In a table without a header the column's number; the first one is 1 "
        "(then all columns are numbers; a header with these names wins).",
        default="text",
        changeable=True,
    )
    pair_column: str | None = setting(
        "Own files: the column, key or number of the second text, if there are pairs.", default=None, changeable=True
    )
    label_column: str = setting("Own files: the column, key or number of the label.", default="label", changeable=True)
    regression: bool = setting("Own files: labels are numbers; in JSON lines also lists of numbers.", default=False)
    target_columns: tuple[str, ...] = setting(
        "Own files with --regression: columns, keys or numbers of several numbers, with commas; the model keeps the "
        "names.",
        default=(),
        changeable=True,
    )
    multi_label: bool = setting(
        "Own files: a text may have several labels, or none: a list in JSON lines, in a table a cell with "
        "--label_separator.",
        default=False,
        changeable=True,
    )
    label_separator: str = setting(
        "Own tables with --multi_label: what stands between labels.", default=SEPARATOR, changeable=True
    )
    score: str = setting(
        "Own files with classes: what chooses the best model. accuracy, macro_f1 or matthews; with --multi_label "
        "macro_f1, exact_match or micro_f1, which is its default.",
        default="accuracy",
        choices=("accuracy", "macro_f1", "matthews", "micro_f1", "exact_match"),
    )

    def benchmark_set(self) -> BenchmarkSet:
        """Returns the set.

        Raises:
            InputError: flags of custom files are given for a set of GLUE, or contradict each other.
        """
        if self.dataset != OWN:
            told = [field.name for field in dataclasses.fields(FileSettings) if field.name != "dataset"]
            told = [name for name in told if getattr(self, name) != getattr(FileSettings, name)]
            if told:
                raise InputError(
                    f"--dataset={self.dataset} has columns and scores of its own; leave out what belongs to one's own "
                    f"files. Received: --{', --'.join(told)}."
                )
            return SETS[self.dataset]
        self._check_own()
        columns = Columns(self.text_column, self.pair_column, self.target_columns or self.label_column)
        if self.regression:
            return BenchmarkSet(OWN, columns, (), ("pearson", "spearman"))
        if not self.multi_label:
            return BenchmarkSet(OWN, columns, None, (self.score,))
        columns = dataclasses.replace(columns, separator=self.label_separator)
        chosen = self.score if self.score in OF_SEVERAL else OF_SEVERAL[0]
        return BenchmarkSet(OWN, columns, None, OF_SEVERAL, chosen=(chosen,))

    def _check_own(self) -> None:
        """Raises `InputError` if flags of custom files contradict each other."""
        if self.multi_label and self.regression:
            raise InputError("--multi_label and --regression exclude each other. Received: both.")
        if self.target_columns and (not self.regression or self.label_column != FileSettings.label_column):
            raise InputError(
                "--target_columns needs --regression and takes the place of --label_column. Received: "
                f"--target_columns={','.join(self.target_columns)}, --label_column={self.label_column}, "
                f"--{'' if self.regression else 'no'}regression."
            )
        if len(set(self.target_columns)) < len(self.target_columns):
            raise InputError(f"--target_columns must be different columns. Received: {','.join(self.target_columns)}.")
        if self.label_separator != SEPARATOR and not self.multi_label:
            raise InputError("--label_separator belongs to --multi_label. Received: it alone.")
        if not self.label_separator:
            raise InputError("--label_separator must be text. Received: nothing.")
        wrong = ("matthews",) if self.multi_label else OF_SEVERAL[::2] if not self.regression else ()
        if self.score in wrong:
            kind = "several labels for each text" if self.multi_label else "one label for each text"
            raise InputError(f"--score={self.score} does not fit files with {kind} (--multi_label).")
