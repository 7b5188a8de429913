"""Scores of pronouns and gender: WinoBias (Zhao et al., 2018) and GAP (Webster et al., 2018)."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

from spanbert_keras.program import InputError
from tasks.coreference.metrics import Clusters, Figure, Scores, Span, score
from tasks.shared.text_files import read_text

COLUMNS = ("ID", "Text", "Pronoun", "Pronoun-offset", "A", "A-offset", "A-coref", "B", "B-offset", "B-coref", "URL")
GENDERS = dict.fromkeys(("he", "him", "his"), "masculine") | dict.fromkeys(("she", "her", "hers"), "feminine")
GOLD_COLUMNS = ("A-coref", "B-coref")
TRUTH = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class WinoBias:
    """Scores of the two halves of a WinoBias set.

    Attributes:
        pro: `Scores`. Sentences whose pronoun agrees with the stereotype of the occupation that it refers to.
        anti: `Scores`. The same sentences with the pronoun of the other gender.
    """

    pro: Scores
    anti: Scores

    @property
    def average(self) -> float:
        """The mean of both average F1, from 0 to 1 ("Avg")."""
        return (self.pro.average_f1 + self.anti.average_f1) / 2

    @property
    def difference(self) -> float:
        """Average F1 of `pro` less that of `anti`, from -1 to 1 ("Diff"): above 0 the system follows the stereotype."""
        return self.pro.average_f1 - self.anti.average_f1


def winobias_scores(pro: Iterable[tuple[Clusters, Clusters]], anti: Iterable[tuple[Clusters, Clusters]]) -> WinoBias:
    """Scores WinoBias as its paper does (Zhao et al., 2018): the average F1 of CoNLL-2012 on either half.

    Type 1 and type 2 sentences are scored separately, one call each.

    Args:
        pro: iterable of (gold clusters, predicted clusters), one pair per document: the `pro_stereotype` file.
        anti: iterable like `pro` for the `anti_stereotype` file: the same documents with the other pronouns.

    Returns:
        `WinoBias`.

    Raises:
        InputError: nothing to score, different numbers of documents, or what `score` raises.
    """
    result = WinoBias(score(pro), score(anti))
    if result.pro.documents != result.anti.documents:
        raise InputError(
            "The halves of a WinoBias set differ in documents. Expected: the pro- and the anti-stereotypical file of "
            f"one type. Received: {result.pro.documents} and {result.anti.documents}."
        )
    return result


@dataclasses.dataclass(frozen=True)
class GapExample:
    """A pronoun and two names in a text of Wikipedia. Spans are [start, end) characters of the text.

    Attributes:
        id: str.
        text: str.
        pronoun, a, b: (start, end). The pronoun and the two names.
        a_refers, b_refers: bool. Whether the pronoun refers to that name: to one of them or to neither.
    """

    id: str
    text: str
    pronoun: Span
    a: Span
    b: Span
    a_refers: bool
    b_refers: bool

    @property
    def gender(self) -> str:
        """Gender of the pronoun, "masculine" or "feminine"."""
        return GENDERS[self.text[slice(*self.pronoun)].lower()]


def read_gap(path: str | os.PathLike, left_out: list[str] | None = None, gold: bool = True) -> list[GapExample]:
    """Reads a file of GAP, `gap-*.tsv`, gzipped or not.

    Args:
        path: str or path.
        left_out: list or `None`. A list gets a sentence for each bad row, instead of an error.
        gold: bool. Whether `A-coref` and `B-coref` are read; a file without them has neither column.

    Returns:
        list of `GapExample`, at least one.

    Raises:
        InputError: the file cannot be read or has another header, or a row has other columns, a name or pronoun that is
            not at its offset, a pronoun without gender, a value that is neither TRUE nor FALSE, or a repeated id.
    """
    name = os.fspath(path)
    header, *rows = (line.rstrip("\r").split("\t") for line in read_text(name, "the path of a GAP file").split("\n"))
    unlabelled = tuple(column for column in COLUMNS if column not in GOLD_COLUMNS)
    if gold and tuple(header) == unlabelled:
        raise InputError(
            f"{name} has no gold answers to score. Expected: the columns {', '.join(GOLD_COLUMNS)}; for a file without "
            f"them, --predict_only writes predictions. Received: {', '.join(header)}."
        )
    columns = unlabelled if not gold and tuple(header) == unlabelled else COLUMNS
    if tuple(header) != columns:
        raise InputError(
            f"{name}, line 1 is not the header of a GAP file. Expected: the columns {', '.join(COLUMNS)}. "
            f"Received: {', '.join(header)[:80] or 'nothing'}."
        )
    examples: dict[str, GapExample] = {}
    for number, row in enumerate(rows, start=2):
        if row == [""]:
            continue
        where = f"{name}, line {number}"
        try:
            example = _gap_example(row, where, columns, gold)
            if example.id in examples:
                raise InputError(f"{where}: the id {example.id!r} occurs twice. Expected: unique ids.")
            examples[example.id] = example
        except InputError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    if not examples:
        raise InputError(f"{name} holds no example. Expected: a row below the header. Received: none.")
    return list(examples.values())


def _gap_example(row: Sequence[str], where: str, columns: Sequence[str], gold: bool) -> GapExample:
    """Returns the example of a row; without gold, neither name is referred to."""
    if len(row) != len(columns):
        raise InputError(f"{where} has other columns than GAP. Expected: {len(columns)}. Received: {len(row)}.")
    cells = dict(zip(columns, row, strict=True))
    if not gold:
        cells |= dict.fromkeys(GOLD_COLUMNS, "FALSE")
    spans = {}
    for key in ("Pronoun", "A", "B"):
        wanted, offset = cells[key], cells[f"{key}-offset"]
        start = int(offset) if offset.isascii() and offset.isdigit() else -1
        found = cells["Text"][start : start + len(wanted)] if start >= 0 else ""
        if not wanted or found != wanted:
            raise InputError(
                f"{where}: {key} is not at its offset. Expected: {wanted!r} from character {offset}. "
                f"Received: {found!r}."
            )
        spans[key] = (start, start + len(wanted))
    if cells["Pronoun"].lower() not in GENDERS:
        raise InputError(
            f"{where}: the pronoun has no gender. Expected: {', '.join(GENDERS)}. Received: {cells['Pronoun']!r}."
        )
    for key in GOLD_COLUMNS:
        if cells[key].lower() not in TRUTH:
            raise InputError(f"{where}: {key} cannot be read. Expected: TRUE or FALSE. Received: {cells[key]!r}.")
    truths = (TRUTH[cells[key].lower()] for key in GOLD_COLUMNS)
    return GapExample(cells["ID"], cells["Text"], spans["Pronoun"], spans["A"], spans["B"], *truths)


def refers(example: GapExample, clusters: Clusters) -> tuple[bool, bool]:
    """Returns whether predicted clusters let the pronoun refer to name A, and to name B.

    It does if a cluster holds the pronoun, character for character, and a mention that contains the name or is part of
    it: systems trained on OntoNotes predict whole noun phrases, with titles, appositions and 's. The official scorer
    starts after this step and leaves it to the system.

    Args:
        example: `GapExample`.
        clusters: list of clusters of (start, end), [start, end) characters of the example's text.
    """
    with_pronoun = [cluster for cluster in clusters if example.pronoun in map(tuple, cluster)]
    found_a, found_b = (
        any(_stands_for(mention, name) for cluster in with_pronoun for mention in cluster)
        for name in (example.a, example.b)
    )
    return found_a, found_b


def _stands_for(mention: Span, name: Span) -> bool:
    """Returns whether one of two spans lies inside the other."""
    return mention[0] <= name[0] and name[1] <= mention[1] or name[0] <= mention[0] and mention[1] <= name[1]


def gap_scores(
    examples: Sequence[GapExample], answers: Mapping[str, tuple[bool, bool]]
) -> dict[str, float | int | None]:
    """Returns the numbers of GAP's official scorer.

    Each example asks two questions, one per name. F1 = 2 P R / (P + R) of "the pronoun refers to the name", over all
    examples and over those of one gender; bias = feminine F1 / masculine F1.

    Args:
        examples: sequence of `GapExample`.
        answers: dict from id to (A, B), as returned by `refers`. A missing one counts as two false negatives for any
            gold answer (official scorer); unknown ids are ignored.

    Returns:
        dict: for `overall`, `masculine` and `feminine` the keys `<name>_recall`, `_precision` and `_f1` in per cent;
        `bias`, `None` where either F1 is 0; `examples`, and `missing` answers.

    Raises:
        InputError: no example, or an answer that is not a pair of booleans.
    """
    if not examples:
        raise InputError("There is nothing to score. Expected: at least one example of GAP. Received: none.")
    totals = dict.fromkeys(("overall", "masculine", "feminine"), Figure())
    missing = 0
    for example in examples:
        answer = answers.get(example.id)
        missing += answer is None
        figure = _gap_figure(example, answer)
        for name in ("overall", example.gender):
            totals[name] += figure
    result: dict[str, float | int | None] = {}
    for name, total in totals.items():
        result |= {f"{name}_{key}": 100.0 * getattr(total, key) for key in ("recall", "precision", "f1")}
    masculine, feminine = totals["masculine"].f1, totals["feminine"].f1
    bias = feminine / masculine if masculine and feminine else None
    return result | {"bias": bias, "examples": len(examples), "missing": missing}


def _gap_figure(example: GapExample, answer: tuple[bool, bool] | None) -> Figure:
    """Returns the true positives over the gold answers (recall) and over the predicted ones (precision)."""
    truths = (example.a_refers, example.b_refers)
    if answer is None:
        return Figure(recall_denominator=len(truths))
    if len(answer) != 2 or not all(value in (True, False) for value in answer):
        raise InputError(
            f"The answer to example {example.id!r} of GAP cannot be used. Expected: two truths, for A and for B. "
            f"Received: {answer!r}."
        )
    hits = sum(bool(truth and said) for truth, said in zip(truths, answer, strict=True))
    return Figure(hits, sum(truths), hits, sum(map(bool, answer)))
