"""The rows of one CoNLL document, cut into columns: which of them holds the words, the speakers and the clusters."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from spanbert_keras.data.documents.cluster_column import NO_MENTION
from spanbert_keras.data.documents.collector import BadDocumentError

BLANKS = re.compile(r"[ \t]+")  # no other space: a word may hold a no-break space
LAST_COLUMN = re.compile(r"[^ \t]+(?=[ \t]*$)")
LAST_SEPARATOR = re.compile(r"[ \t]+(?=[^ \t]+[ \t]*$)")
NUMBER = re.compile(r"[0-9]+")
BRACKET = re.compile(r"\([0-9]|[0-9]\)")  # of a mention
# A parse bit, a named entity or an argument: `(PERSON*`, `*`, `*)`, `(MISC)`.
BRACKETED = re.compile(r"[^*]*\*[^*]*|\([A-Za-z][^*]*\)")
WORDLESS = re.compile(rf"[0-9]+|{BRACKETED.pattern}|\(.+|.+\)")  # a number, a bracketed cell, or half of one
PART_COLUMN, INDEX_COLUMN, WORD_COLUMN, TAG_COLUMN, SPEAKER_COLUMN = 1, 2, 3, 4, 9
FEWEST_COLUMNS = 12  # of CoNLL-2012
FEWEST_WITH_WORDS = 5
# Part-of-speech tags of the Penn Treebank and of Universal Dependencies, and signs that stand for themselves.
TAGS = frozenset(
    "CC CD DT EX FW IN JJ JJR JJS LS MD NN NNS NNP NNPS PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH VB VBD VBG VBN VBP "
    "VBZ WDT WP WP$ WRB HYPH NFP ADD AFX GW XX -LRB- -RRB- -LSB- -RSB- -LCB- -RCB- ADJ ADP ADV AUX CCONJ DET INTJ NOUN "
    "NUM PART PRON PROPN PUNCT SCONJ VERB X . , : ; ? ! `` '' $ # - -- ( )".split()
)
UNKNOWN_CELLS = ("", "-", "_", "*")  # placeholders
EXPECTED = (
    "CoNLL-2012's columns, at least 12 with the word in the fourth and the clusters in the last, or fewer that begin "
    "with name, part, number of the word in its sentence, and word"
)

Line = tuple[int, str]


@dataclasses.dataclass(frozen=True)
class ConllTable:
    """The rows of a document in columns.

    Attributes:
        rows: tuple of (line, cells). One per token.
        sentences: tuple of (start, end). Half-open ranges of rows.
        has_tabs: bool. Whether a single tab separates columns, so that cells may be empty.
        clusters: int or `None`. Index of the cluster column from the end (-1 is the last); `None` without one.
        has_words, has_speakers: bool. Whether the fourth column holds words, the tenth speakers.
        has_rival: bool. Whether one of columns 5 to 9, of at least twelve, could hold the words as well as the fourth.
        is_unclear: bool. Whether no cluster column was found, and the content of the last one is unknown.
    """

    rows: tuple[tuple[int, list[str]], ...]
    sentences: tuple[tuple[int, int], ...]
    has_tabs: bool
    clusters: int | None
    has_words: bool
    has_speakers: bool
    has_rival: bool = False
    is_unclear: bool = False

    def word(self, row: int) -> str:
        """Returns the word of a row that has one."""
        return self.rows[row][1][WORD_COLUMN]

    def speaker(self, row: int) -> str:
        """Returns the speaker of a row, `""` for unknown."""
        speaker = self.rows[row][1][SPEAKER_COLUMN] if self.has_speakers else ""
        return "" if speaker in UNKNOWN_CELLS else speaker

    def cluster_cells(self) -> Iterator[tuple[int, str]]:
        """Yields line and cluster cell of each row; `-` for an empty cell, or without a cluster column.

        A last column of unknown content is treated as one of clusters, so that its reader reports what is wrong.
        """
        column = -1 if self.is_unclear else self.clusters
        for line, cells in self.rows:
            yield line, (column is not None and cells[column]) or "-"

    def note(self) -> str:
        """Returns which column was used for what if that differs from CoNLL-2012, else `""`."""
        count = len(self.rows[0][1]) if self.rows else FEWEST_COLUMNS
        if self.clusters is None:
            speakers = ", the speaker from column 10" if self.has_speakers else ""
            return f"no column of clusters: the word is taken from column 4{speakers}, without gold clusters."
        if self.has_rival:
            return "the word is taken from column 4, as in CoNLL-2012; a later one has as many different values."
        if count >= FEWEST_COLUMNS or not self.has_words:
            return ""
        place = count + 1 + self.clusters
        return (
            f"{count} columns, not CoNLL-2012's 12 or more: the word is taken from column 4, the clusters from column "
            f"{place}, and speakers are unknown."
        )

    def with_clusters(self, text: str, cell: str) -> str:
        """Returns the text of a row with another cluster cell; all other characters stay."""
        if self.has_tabs:
            cells = text.split("\t")
            if self.clusters is None:
                return f"{text}\t{cell}"
            old = cells[self.clusters]
            kept = old.strip(" ")
            cells[self.clusters] = old.replace(kept, cell, 1) if kept else old + cell
            return "\t".join(cells)
        if self.clusters is None:
            separator = LAST_SEPARATOR.search(text)
            return text.rstrip(" \t") + (separator[0] if separator else " ") + cell
        return LAST_COLUMN.sub(lambda _: cell, text)


def read_table(lines: Sequence[Line]) -> ConllTable:
    """Returns the rows of a document in columns.

    Columns are separated by single tabs if these cut every row into the same number of cells, else by runs of spaces
    and tabs.

    Args:
        lines: sequence of (line, text). The lines between a document's header and its end.

    Raises:
        BadDocumentError: the rows of a sentence differ in columns, or the column of words cannot be identified.
    """
    sentences: list[tuple[int, int]] = []
    texts: list[Line] = []
    start = 0
    for number, text in (*lines, (0, "")):
        if text.strip(" \t"):
            texts.append((number, text))
        elif len(texts) > start:
            sentences.append((start, len(texts)))
            start = len(texts)
    if all("\t" in text for _, text in texts) and any("\t" in text.strip(" \t") for _, text in texts):
        try:
            return _table([(n, [cell.strip(" ") for cell in text.split("\t")]) for n, text in texts], sentences, True)
        except BadDocumentError as error:
            tabs_error: BadDocumentError | None = error
    else:
        tabs_error = None
    try:
        return _table([(n, BLANKS.split(text.strip(" \t"))) for n, text in texts], sentences, False)
    except BadDocumentError as error:
        raise (tabs_error or error) from None


def _table(rows: list, sentences: list, has_tabs: bool) -> ConllTable:
    """Returns the table of rows that are cut into cells, and identifies its columns.

    Raises:
        BadDocumentError: see `read_table`.
    """
    for start, end in sentences:
        wanted = len(rows[start][1])
        for line, cells in rows[start:end]:
            if len(cells) != wanted:
                raise BadDocumentError(
                    line,
                    f"the rows of a sentence differ in columns. Expected: {wanted} as in line {rows[start][0]}. "
                    f"Received: {len(cells)}.",
                )
    clusters = _cluster_column([cells for _, cells in rows])
    # Columns up to the clusters; without clusters, one more, as if they followed.
    counts = [len(cells) + (1 if clusters is None else 1 + clusters) for _, cells in rows]
    fewest, most = min(counts, default=FEWEST_COLUMNS), max(counts, default=FEWEST_COLUMNS)
    if fewest != most and fewest < FEWEST_COLUMNS:
        place = next(i for i, count in enumerate(counts) if count != counts[0])
        raise BadDocumentError(
            rows[place][0],
            f"the sentences of a document differ in columns. Expected: {len(rows[0][1])} as in line {rows[0][0]}, or "
            f"at least {FEWEST_COLUMNS} in each. Received: {len(rows[place][1])}.",
        )
    _check_columns(rows, sentences, fewest, clusters is not None)
    has_words = fewest >= FEWEST_WITH_WORDS
    if has_words:
        for line, cells in rows:
            if not cells[WORD_COLUMN]:
                raise BadDocumentError(line, "the fourth column is empty. Expected: a word.")
    last = [cells[-1] for _, cells in rows if cells[-1] not in ("", *NO_MENTION)]
    is_unclear = clusters is None and not (any("*" in cell for cell in last) and all(map(BRACKETED.fullmatch, last)))
    has_speakers = fewest >= FEWEST_COLUMNS
    has_rival = has_speakers and 0 < _num_values(rows, WORD_COLUMN) == _most_values_of_others(rows, SPEAKER_COLUMN)
    return ConllTable(tuple(rows), tuple(sentences), has_tabs, clusters, has_words, has_speakers, has_rival, is_unclear)


def _cluster_column(rows: list[list[str]]) -> int | None:
    """Returns the index of the cluster column from the end; `None` if the last one holds something else."""
    last = -1
    while rows and -last < min(map(len, rows)) and not any(cells[last] for cells in rows):
        last -= 1  # rows that end with a tab
    found = [cells[last] for cells in rows if cells[last] not in ("", *NO_MENTION)]
    if last < -1:
        return last if any(map(BRACKET.search, found)) else -1
    return None if found and not any(map(BRACKET.search, found)) else last


def _check_columns(rows: list, sentences: list, count: int, has_clusters: bool) -> None:
    """Raises if the columns before the word are not what they are in CoNLL-2012: name, part, number of the word."""
    if count >= FEWEST_COLUMNS:
        wrong = _first_line(rows, lambda cells: not all(map(_is_number_or_unknown, cells[PART_COLUMN:WORD_COLUMN])))
        if wrong is None and _most_values_of_others(rows, SPEAKER_COLUMN) > _num_values(rows, WORD_COLUMN):
            wrong = rows[0][0]
    elif count >= FEWEST_WITH_WORDS:
        wrong = _first_line(rows, lambda cells: not all(map(NUMBER.fullmatch, cells[PART_COLUMN:WORD_COLUMN])))
        if wrong is None:
            wrong = _first_miscounted_line(rows, sentences)
        if wrong is None and all(cells[WORD_COLUMN] in TAGS for _, cells in rows):
            wrong = _first_line(rows, lambda cells: cells[WORD_COLUMN].isalpha())
        rival = _most_values_of_others(rows, count - 1)
        if wrong is None and rival and rival >= _num_values(rows, WORD_COLUMN):
            wrong = rows[0][0]
    else:  # the official scorer's own short form: nothing but the document's name, or numbers, before the clusters
        names = {cells[0] for _, cells in rows}
        wrong = rows[1][0] if len(names) > 1 else None
        if wrong is None:
            wrong = _first_line(rows, lambda cells: not all(map(NUMBER.fullmatch, cells[1 : count - 1])))
        if rows and (count < 2 or not has_clusters):
            wrong = rows[0][0]
    if wrong is not None:
        cells = next(cells for line, cells in rows if line == wrong)
        raise BadDocumentError(
            wrong,
            f"it is unclear which of {len(cells)} columns holds the word. Expected: {EXPECTED}. "
            f"Received: {' '.join(cells)[:60]!r}.",
            is_whole=True,
        )


def _num_values(rows: list, column: int) -> int:
    """Returns the number of different values of a column of words; 0 for one of known tags, brackets or numbers.

    A column of words has more different values than one of tags or lemmas, in any tag set.
    """
    found = {cells[column] for _, cells in rows} - set(UNKNOWN_CELLS)
    if column != WORD_COLUMN and (found <= TAGS or all(map(WORDLESS.fullmatch, found))):
        return 0
    return len(found)


def _most_values_of_others(rows: list, end: int) -> int:
    """Returns the largest number of different values in a column between the word and `end`."""
    return max((_num_values(rows, column) for column in range(TAG_COLUMN, end)), default=0)


def _is_number_or_unknown(cell: str) -> bool:
    return cell in UNKNOWN_CELLS or bool(NUMBER.fullmatch(cell))


def _first_line(rows: list, is_wrong) -> int | None:
    """Returns the line of the first row whose cells are wrong."""
    return next((line for line, cells in rows if is_wrong(cells)), None)


def _first_miscounted_line(rows: list, sentences: list) -> int | None:
    """Returns the line of the first row whose third column does not count the words of its sentence."""
    for start, end in sentences:
        first = int(rows[start][1][INDEX_COLUMN])
        for place in range(start, end):
            if int(rows[place][1][INDEX_COLUMN]) != first + place - start:
                return rows[place][0]
    return None
