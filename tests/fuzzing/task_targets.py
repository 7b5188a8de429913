"""Readers of data sets, of files to answer or to resolve, and of finished runs."""

import json
from pathlib import Path

from spanbert_keras.answer_file import read_questions
from spanbert_keras.data.annotations.jsonl_annotator import JsonlAnnotator
from spanbert_keras.data.documents.read_documents import read_documents
from spanbert_keras.files.json_files import write_json
from spanbert_keras.resolve import _read_documents
from spanbert_keras.training.distributed.cluster import read_cluster
from spanbert_keras.training.run.run_record import RunRecord
from tasks import report
from tasks.coreference import pronouns
from tasks.glue import data as glue
from tasks.glue.benchmark_set import SETS
from tasks.question_answering import data as question_answering
from tasks.relation_extraction import data as relation_extraction
from tasks.shared.ablation_tables import read_ablation
from tests.fuzzing.target import Target

CONTEXT = "Ann wrote the book in 1901."
ANSWER = {"text": "Ann", "answer_start": 0}
QUESTIONS = [
    {"id": "1", "question": "Who?", "answers": [ANSWER], "is_impossible": False},
    {"id": "2", "question": "Where?", "answers": [], "is_impossible": True, "plausible_answers": [ANSWER]},
]
SQUAD = {"version": "v2.0", "data": [{"title": "A", "paragraphs": [{"context": CONTEXT, "qas": QUESTIONS}]}]}
SPAN = {"text": "Ann", "char_spans": [[0, 2]], "token_spans": [[0, 0]]}
MRQA_QUESTION = {"qid": "1", "question": "Who?", "answers": ["Ann"], "detected_answers": [SPAN]}
TOKENS = ["Ann", "wrote", "it", ".", "She", "lives", "."]
TACRED = {
    "id": "e1",
    "token": TOKENS,
    "relation": "per:title",
    "subj_start": 0,
    "subj_end": 0,
    "obj_start": 2,
    "obj_end": 2,
    "subj_type": "PERSON",
    "obj_type": "TITLE",
}
DOCUMENT = {
    "doc_key": "nw/a_0",
    "sentences": [TOKENS[:4], TOKENS[4:]],
    "speakers": [["s"] * 4, ["s"] * 3],
    "clusters": [[[0, 0], [4, 4]]],
}
PIECES = {
    "doc_key": "nw/a_0",
    "sentences": [["[CLS]", *TOKENS, "[SEP]"]],
    "speakers": [["[SPL]", *["s"] * 7, "[SPL]"]],
    "clusters": [[[1, 1], [5, 5]]],
    "sentence_map": [0, 0, 0, 0, 0, 1, 1, 1, 1],
    "subtoken_map": [0, 0, 1, 2, 3, 4, 5, 6, 6],
}
CONLL = "#begin document (nw/a); part 000\n{}\n#end document\n"
CONLL_ROWS = "\n".join(
    f"nw/a 0 {number} {word} NN * - - - s * {'(1)' if word in ('Ann', 'She') else '-'}" + "\n" * (word == ".")
    for number, word in enumerate(TOKENS)
)
GAP_HEAD = "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\tURL\n"
GAP = GAP_HEAD + "t-1\tAnn saw Eve. She left.\tShe\t13\tAnn\t0\tTRUE\tEve\t8\tFALSE\thttp://x\n"
SST = "sentence\tlabel\na good film\t1\na bad film\t0\n"
RUN = {
    "flags": {"method": "M", "encoder": "e", "dataset": "RTE", "dev_file": "d", "seed": 1, "learning_rate": 1e-5},
    "facts": {"corpus": "x"},
    "scores": {"dev": {"accuracy": 70.0}},
    "versions": {"keras": "3"},
}
ABLATION = {"rows": ["span_2seq"], "tasks": ["RTE"], "mean": [[1.0]], "std": [[None]], "values": [[[1.0]]]}
TF_CONFIG = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


def _lines(*values) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def _file(name: str, text: str, read, **more) -> Target:
    """Returns the target of one text file; `read` takes its path."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")

    return Target(more.pop("title", name), make, lambda folder: read(folder / name) and None, **more)


def _report(path: Path) -> None:
    for parent in path.parents:
        if parent.name == "runs":
            report.gather(parent)


def _continue(path: Path) -> None:
    record = RunRecord(path.parent)
    record.begin(RUN["flags"], RUN["facts"], ())
    record.update(scores={"dev": {"accuracy": 71.0}})


def _questions(path: Path) -> None:
    list(read_questions(str(path)))


def _to_resolve(path: Path) -> None:
    _read_documents(str(path), False)


def _cluster(path: Path) -> None:
    read_cluster({"TF_CONFIG": path.read_text(errors="surrogateescape")})


def _glue(path: Path) -> None:
    task = SETS["SST-2"]
    glue.read(str(path), task.labelled, task.labels)


def _jsonl_annotator(path: Path) -> None:
    annotator = JsonlAnnotator(str(path), ("entities", "noun_phrases"))
    list(annotator.annotate([CONTEXT]))


OTHER = {"text": "Eve saw a man .", "entities": [[0, 3, "PERSON"]], "noun_phrases": [[8, 13]]}


def _made(name: str, title: str, value: dict, read) -> Target:
    """Returns the target of a record that this package writes with a checksum; `read` takes its path."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_json(folder / name, value, checksum=True)

    return Target(title, make, lambda folder: repr(read(folder / name)), written_by_us=True)


def _begun(path: Path) -> dict:
    record = RunRecord(path.parent).begin(RUN["flags"], RUN["facts"], ())
    return {name: record[name] for name in ("flags", "facts", "scores")}


MENTIONS = {"text": CONTEXT, "entities": [[0, 3, "PERSON"]], "noun_phrases": [[0, 3], [10, 18]]}
ANSWERS = [{"question": "Who?", "context": CONTEXT}] * 3
MRQA = [{"header": {"dataset": "x"}}, {"context": CONTEXT, "qas": [MRQA_QUESTION]}]
TARGETS = [
    _file("squad.json", json.dumps(SQUAD), question_answering.read),
    _file("mrqa.jsonl", _lines(*MRQA), question_answering.read),
    _file("answer.json", json.dumps(SQUAD), _questions),
    _file("answer.jsonl", _lines(*ANSWERS), _questions),
    _file("tacred.json", json.dumps([TACRED, TACRED | {"id": "e2"}]), relation_extraction.read),
    _file("tacred.jsonl", _lines(TACRED, TACRED | {"id": "e2"}), relation_extraction.read),
    _file("a.v4_gold_conll", CONLL.format(CONLL_ROWS), read_documents),
    _file("words.jsonl", _lines(DOCUMENT, DOCUMENT | {"doc_key": "nw/b_0"}), read_documents),
    _file("pieces.jsonl", _lines(PIECES), read_documents),
    _file("resolve.jsonl", _lines({"text": CONTEXT}, {"text": "She left."}), _to_resolve),
    _file("gap.tsv", GAP, pronouns.read_gap),
    _file("sst.tsv", SST, _glue),
    _file("mentions.jsonl", _lines(MENTIONS, OTHER), _jsonl_annotator),
    _file("runs/a/run.json", json.dumps(RUN), _report, title="run.json in reports"),
    _file("run/run.json", json.dumps(RUN), _continue, title="run.json, continued"),
    _file("runs/ablation.json", json.dumps(ABLATION), _report, title="ablation.json"),
    _made("run/run.json", "own run.json", RUN, _begun),
    _made("ablation.json", "own ablation.json", ABLATION, read_ablation),
    _file("TF_CONFIG", json.dumps(TF_CONFIG), _cluster),
]
