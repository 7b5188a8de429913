"""GLUE's files in their official forms, filled with rows of (text, pair, label)."""

import gzip
import json

import pytest

PARSES = "promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse".split()
PAIR = ["index", "sentence1", "sentence2"]
STS = "index genre filename year old_index source1 source2 sentence1 sentence2".split()
QUORA = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
MICROSOFT = ["#1 ID", "#2 ID", "#1 String", "#2 String"]
MULTI = ["index", *PARSES, "sentence1", "sentence2"]

# The headers of train and dev, and of test, as the official files have them; below, where text, pair and label are.
HEADERS = {
    "CoLA": (["source", "label", "mark", "sentence"], ["index", "sentence"]),  # the first is not in the file
    "SST-2": (["sentence", "label"], ["index", "sentence"]),
    "MRPC": (["Quality", *MICROSOFT], ["index", *MICROSOFT]),
    "STS-B": ([*STS, "score"], STS),
    "QQP": (QUORA, ["id", "question1", "question2"]),
    "MNLI": ([*MULTI, "label1", "gold_label"], MULTI),
    "QNLI": (["index", "question", "sentence", "label"], ["index", "question", "sentence"]),
    "RTE": ([*PAIR, "label"], PAIR),
    "WNLI": ([*PAIR, "label"], PAIR),
}
PARTS = {
    "CoLA": ("sentence", None, "label"),
    "SST-2": ("sentence", None, "label"),
    "MRPC": ("#1 String", "#2 String", "Quality"),
    "STS-B": ("sentence1", "sentence2", "score"),
    "QQP": ("question1", "question2", "is_duplicate"),
    "MNLI": ("sentence1", "sentence2", "gold_label"),
    "QNLI": ("question", "sentence", "label"),
    "RTE": ("sentence1", "sentence2", "label"),
    "WNLI": ("sentence1", "sentence2", "label"),
}


def read_json(path):
    """Returns the content of a JSON file."""
    return json.loads(path.read_text())


def official(name, rows, test=False, first=0):
    """Returns a file's text of rows (text, pair, label), those of test without label; ids count from `first`."""
    header = HEADERS[name][test]
    lines = [] if name == "CoLA" and not test else ["\t".join(header)]
    for number, row in enumerate(rows, first):
        cells = dict(zip(PARTS[name], row, strict=False))
        cells |= {"index": str(number), "id": str(number)}
        lines.append("\t".join(cells.get(column, f"other {column}") for column in header))
    return ("\ufeff" if name == "MRPC" and not test else "") + "\n".join(lines) + "\n"


@pytest.fixture
def set_folder(tmp_path):
    """Function that writes official files into a folder and returns it.

    It takes the set, and rows by the file's name; a name that ends with .gz is packed, one with test has no labels.
    """

    def write(name, folder="data", **files):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for file, rows in files.items():
            test = file.startswith(("test", "diagnostic"))
            content = official(name, rows, test, first=100 if test else 0).encode("utf-8")
            packed = file.endswith("_gz")
            path = place / f"{file.removesuffix('_gz')}.tsv{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content) if packed else content)
        return place

    return write


def words(number, count=4):
    """Returns a text of some of the words w10 to w39, others for another number."""
    return " ".join(f"w{10 + (7 * number + 3 * i) % 30}" for i in range(count))


def told(number, classes):
    """Returns a row: the second text's last word, w0 to w9, decides between the classes; the first has another one."""
    place = number % len(classes)
    return f"w{(place + 1) % len(classes)} {words(number)}", f"{words(number + 1, 3)} w{place}", classes[place]
