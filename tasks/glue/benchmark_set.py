"""The sets of GLUE: their files, columns, labels and scores (Wang et al., 2019)."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns of a file: names of its header, or numbers from 0 without a header.

    Attributes:
        text, pair, id: str, int or `None`.
        label: str, int or `None`; a tuple if several columns hold a number each.
        width: int or `None`. Cells per line of a file without a header.
        separator: str or `None`. Separator of the labels in a cell; `None` if a text has one label.
    """

    text: str | int
    pair: str | int | None = None
    label: str | int | tuple[str | int, ...] | None = None
    id: str | int | None = None
    width: int | None = None
    separator: str | None = None

    def wanted(self) -> list[str | int]:
        """Returns the columns that a file must have."""
        labels = self.label if isinstance(self.label, tuple) else (self.label,)
        return [column for column in (self.text, self.pair, *labels, self.id) if column is not None]


@dataclasses.dataclass(frozen=True)
class BenchmarkSet:
    """One set of GLUE, or your own files.

    Attributes:
        name: str. As the benchmark's site spells it.
        labelled: `Columns` of train and dev.
        labels: tuple of str, in the order of the logits; () for regression; `None` for the labels of the training file.
        scores: tuple of str. Names of `metrics.SCORES`.
        chosen: tuple of str. Scores whose mean selects the best model; () for all of `scores`.
        dev: dict from the name of a dev set ("" for the first) to its file.
        test: dict from the name of a submission file to the test file and its columns.
        majority: bool. Whether test predictions are the most frequent training label, as in the paper.
    """

    name: str
    labelled: Columns
    labels: tuple[str, ...] | None
    scores: tuple[str, ...]
    dev: dict[str, str] = dataclasses.field(default_factory=dict)
    test: dict[str, tuple[str, Columns]] = dataclasses.field(default_factory=dict)
    majority: bool = False
    chosen: tuple[str, ...] = ()

    @property
    def problem_type(self) -> str:
        """The `problem_type` of `SpanBertTextClassifier`."""
        if self.labels == ():
            return "regression"
        return "single_label" if self.labelled.separator is None else "multi_label"


def _single(name: str, labelled: Columns, labels: tuple, scores: tuple, test: Columns, **more) -> BenchmarkSet:
    """Returns a set with one dev and one test file."""
    return BenchmarkSet(name, labelled, labels, scores, {"": "dev.tsv"}, {name: ("test.tsv", test)}, **more)


CUSTOM_SET = "own"
BINARY_LABELS = ("0", "1")
ENTAILMENT_LABELS = ("entailment", "not_entailment")
INFERENCE_LABELS = ("contradiction", "entailment", "neutral")
SENTENCES = Columns("sentence1", "sentence2", "label", "index")
TEST_SENTENCES = Columns("sentence1", "sentence2", None, "index")
TEST_SENTENCE = Columns("sentence", None, None, "index")
MRPC = Columns("#1 String", "#2 String", "Quality")
QQP = Columns("question1", "question2", "is_duplicate", "id")

SETS = {
    one.name: one
    for one in (
        _single("CoLA", Columns(3, None, 1, width=4), BINARY_LABELS, ("matthews",), TEST_SENTENCE),
        _single("SST-2", Columns("sentence", None, "label"), BINARY_LABELS, ("accuracy",), TEST_SENTENCE),
        _single("MRPC", MRPC, BINARY_LABELS, ("f1", "accuracy"), dataclasses.replace(MRPC, label=None, id="index")),
        _single("STS-B", dataclasses.replace(SENTENCES, label="score"), (), ("pearson", "spearman"), TEST_SENTENCES),
        _single("QQP", QQP, BINARY_LABELS, ("f1", "accuracy"), dataclasses.replace(QQP, label=None)),
        BenchmarkSet(
            "MNLI",
            dataclasses.replace(SENTENCES, label="gold_label"),
            INFERENCE_LABELS,
            ("accuracy",),
            {"": "dev_matched.tsv", "mismatched": "dev_mismatched.tsv"},
            {
                "MNLI-m": ("test_matched.tsv", TEST_SENTENCES),
                "MNLI-mm": ("test_mismatched.tsv", TEST_SENTENCES),
                "AX": ("diagnostic.tsv", TEST_SENTENCES),
            },
        ),
        _single(
            "QNLI",
            Columns("question", "sentence", "label", "index"),
            ENTAILMENT_LABELS,
            ("accuracy",),
            Columns("question", "sentence", None, "index"),
        ),
        _single("RTE", SENTENCES, ENTAILMENT_LABELS, ("accuracy",), TEST_SENTENCES),
        _single("WNLI", SENTENCES, BINARY_LABELS, ("accuracy",), TEST_SENTENCES, majority=True),
    )
}
