"""Which set a file belongs to, and where one's own has what: settings of fine-tuning and evaluation."""

import dataclasses

from spanbert_keras.program import InputError, setting
from tasks.glue.benchmark_set import OWN, SETS, BenchmarkSet, Columns


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSettings:
    """Settings that tell how files are read; a program adds its own."""

    dataset: str = setting("A set of GLUE, or one's own files.", default=OWN, choices=(*SETS, OWN))
    text_column: str = setting("Own files: the column or key of the text.", default="text")
    pair_column: str | None = setting("Own files: of the second text, where there are pairs.", default=None)
    label_column: str = setting("Own files: of the label.", default="label")
    regression: bool = setting("Own files: labels are numbers.", default=False)
    score: str = setting(
        "Own files with classes: what chooses the best model.", default="accuracy",
        choices=("accuracy", "macro_f1", "matthews"),
    )  # fmt: skip

    def benchmark_set(self) -> BenchmarkSet:
        """Returns the set.

        Raises:
            InputError: a set of GLUE is told where one's own files have what.
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
        columns = Columns(self.text_column, self.pair_column, self.label_column)
        if self.regression:
            return BenchmarkSet(OWN, columns, (), ("pearson", "spearman"))
        return BenchmarkSet(OWN, columns, None, (self.score,))
