"""Files of named entities: columns, stacked columns, JSON lines, and what is wrong in one."""

import gzip
import json

import pytest

from spanbert_keras.program import InputError
from tasks.named_entities.data import Example, labels_of, read

CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC
. . O O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER

-DOCSTART- -X- -X- O

No DT O O
"""
STACKED = """# document a
the\tB-PER\tO\t
king\tI-PER\tO\t
of\tI-PER\tO\t
Rome\tI-PER\tB-LOC\t

Ann\tO\tB-PER\t
# document b
Rome\tB-LOC\tO\tO\t
"""


def write(tmp_path, text, name="data.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_conll_2003_has_its_tags_in_the_last_column(tmp_path):
    file = read(write(tmp_path, CONLL))
    assert file.tag_columns == 1 and [one.id for one in file.examples] == ["line 2", "line 12"]
    first = file.examples[0]
    assert first.text == ("EU", "rejects", "German", ".", "Peter", "Blackburn")
    assert first.entities == ((0, 1, "ORG"), (2, 3, "MISC"), (4, 6, "PER")) and first.sentences == ((0, 4), (4, 6))
    assert labels_of(file.examples) == ["MISC", "ORG", "PER"]
    chunks = read(write(tmp_path, CONLL), tag_column=3).examples[0]
    assert chunks.entities[:2] == ((0, 1, "NP"), (1, 2, "VP"))


def test_stacked_columns_are_nested_entities_as_many_as_a_document_needs(tmp_path):
    path = tmp_path / "data.tsv.gz"
    path.write_bytes(gzip.compress(STACKED.encode()))
    file = read(path)
    assert file.tag_columns == 3 and [one.id for one in file.examples] == ["a", "b"]
    assert file.examples[0].entities == ((0, 4, "PER"), (3, 4, "LOC"), (4, 5, "PER"))
    sentences = read(path, context="sentence").examples
    assert sentences[1] == Example("a/1", ("Ann",), ((0, 1, "PER"),), ((0, 1),)) and len(sentences) == 3


def test_json_lines_have_texts_or_tokens(tmp_path):
    lines = [
        {"id": "x", "text": "Ann met Bob.", "entities": [[8, 11, "PER"], {"start": 0, "end": 3, "label": "PER"}]},
        {"tokens": ["Ann", "slept"], "entities": [[0, 1, "PER"]], "other": 1},
    ]
    examples = read(write(tmp_path, "\n".join(map(json.dumps, lines)) + "\n")).examples
    assert examples == [
        Example("x", "Ann met Bob.", ((0, 3, "PER"), (8, 11, "PER"))),
        Example("line 2", ("Ann", "slept"), ((0, 1, "PER"),), ((0, 2),)),
    ]


def test_without_gold_entities_are_not_needed(tmp_path):
    file = read(write(tmp_path, "Ann\nslept\n\nNo\n"), gold=False)
    assert file.examples == [Example("line 1", ("Ann", "slept", "No"), (), ((0, 2), (2, 3)))]
    assert read(write(tmp_path, '{"text": "Ann"}'), gold=False).examples[0].entities == ()


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "holds no text"),
        ("\n\n", "holds no text"),
        ("Ann\nslept\n", "line 1 has no tag"),
        ("Ann NNP B-PER\nslept VB X-PER\n", "line 2: the tag must be O, or B-, .* Received: 'X-PER'"),
        ('{"text": "Ann"}', "line 1 lacks `text` or `tokens`, or `entities`"),
        ('{"text": "Ann", "entities": [[0, 9, "PER"]]}', r"line 1: an entity must be a half-open .*\[0, 9\]"),
        ('{"text": 3, "entities": []}', "line 1: `text` must be a str. Received: 3"),
        ('{"tokens": [], "entities": []}', "`tokens` must be a list of at least one str"),
        ('{"text": " ", "entities": []}', "`text` is empty"),
        ('{"text": "a", "entities": []}\n{"te', "line 2 is not valid JSON"),
        ("Ann B-PER\nmet X O\n", "line 2: the tag must be O, .* Received: 'X'"),
        ("Ann met Bob.\nNo\n", "line 2 has 1 columns. Expected: 3, as the first line"),
        ("-DOCSTART-\nAnn O\nslept\n", "line 3 has no tag"),
        ('{"text": "a", "entities": {"a": 1}}', "line 1: `entities` must be a list .*Received: {'a': 1}"),
        ('{"text": "a", "entities": [[0, 1, "X", 9]]}', r"an entity must be \[start, end, label\]"),
        ('{"text": "a", "id": [1], "entities": []}', "`id` must be a str or a whole number"),
        ('[{"text": "a", "entities": []}]', "is a JSON array|not valid|is not an example"),
        ('{"id": "a", "text": "a", "entities": []}\n' * 2, "line 2: the id 'a' is that of line 1 already"),
    ],
)
def test_a_bad_file_is_one_sentence_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(write(tmp_path, text))


def test_a_brace_may_be_a_token_and_null_means_a_missing_id(tmp_path):
    assert read(write(tmp_path, "{ O\n} B-X\n")).examples[0].text == ("{", "}")
    line = '{"id": null, "text": "a", "entities": []}'
    assert [one.id for one in read(write(tmp_path, f"{line}\n{line}")).examples] == ["line 1", "line 2"]


def test_bad_examples_can_be_left_out(tmp_path):
    text = '{"text": "a", "entities": [[0, 9, "X"]]}\n{"text": "b", "entities": []}'
    file = read(write(tmp_path, text), skip_bad=True)
    assert [one.text for one in file.examples] == ["b"] and len(file.left_out) == 1
    with pytest.raises(InputError, match="holds no usable text. .*line 1"):
        read(write(tmp_path, text.split("\n")[0]), skip_bad=True)
    with pytest.raises(InputError, match="2 columns. Expected: --tag_column from 2 to 2. Received: 3"):
        read(write(tmp_path, "Ann B-PER\n"), tag_column=3)
