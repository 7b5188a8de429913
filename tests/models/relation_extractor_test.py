"""The extractor: rows with markers to relations, texts as tokens, markers that travel, errors."""

import keras
import numpy as np
import pytest

from spanbert_keras import Relation, SpanBertEncoder, SpanBertRelationExtractor, SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.entity_rows import MODES

WORDS = ["Ann", "Bob", "was", "born", "in", "Oslo", "Rome", "the", "a", "city", "of", ".", ",", "(", ")"]
LABELS = ("no_relation", "per:city_of_birth", "per:title")
UNUSED = [f"[unused{i}]" for i in range(1, 13)]
TYPES = {"subject_types": ("PERSON", "ORGANIZATION"), "object_types": ("CITY", "PERSON")}
MARKERS = dict(zip(["SUBJ-PERSON", "SUBJ-ORGANIZATION", "OBJ-CITY", "OBJ-PERSON"], UNUSED, strict=False))
BORN = ("Ann was born in Oslo .".split(), (0, 1), (4, 5), "PERSON", "CITY")


@pytest.fixture(scope="module")
def make_extractor(randomize):
    """Function that makes an extractor of rows of 24 pieces full of noise; arguments are the extractor's."""

    def make(scale=0.4, unused=12, **settings):
        pieces = ["[PAD]", *UNUSED[:unused], "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "😀"]
        encoder = SpanBertEncoder(
            len(pieces), 1, 2, 10, 18, max_sequence_length=24, dropout=0.0, tokenizer=SpanBertTokenizer(pieces)
        )
        extractor = SpanBertRelationExtractor(encoder, **({"labels": LABELS} | TYPES | settings))
        randomize(extractor, scale=scale)
        return extractor

    return make


@pytest.fixture(scope="module")
def extractor(make_extractor):
    return make_extractor()


def centre(extractor, columns):
    """Moves the bias so that no label always wins."""
    extractor.head.classifier.bias.assign(np.zeros(3))
    scores = np.log([list(one.scores.values()) for one in extractor.extract(*columns)])
    extractor.head.classifier.bias.assign(-scores.mean(0))


def asked(count, seed=0, longest=40):
    """Lists of sentences, subjects, objects and types; entities anywhere, nested too."""
    rng = np.random.default_rng(seed)
    columns = [[], [], [], [], []]
    for _ in range(count):
        size = int(rng.integers(2, longest))
        spans = []
        for _ in range(2):
            start = int(rng.integers(size))
            spans.append((start, min(size, start + int(rng.integers(1, 4)))))
        row = (
            rng.choice(WORDS, size).tolist(),
            *spans,
            rng.choice(["PERSON", "ORGANIZATION"]),
            rng.choice(["CITY", "PERSON"]),
        )
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns


def same(found, expected):
    assert [one.label for one in found] == [one.label for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert list(one.scores) == list(other.scores)
        np.testing.assert_allclose(list(one.scores.values()), list(other.scores.values()), atol=1e-5)


def softmax_of(extractor, ids):
    row = np.array([ids], "int32")
    inputs = {"token_ids": row, "segment_ids": np.zeros_like(row), "padding_mask": np.ones_like(row)}
    logits = keras.ops.convert_to_numpy(extractor(inputs)["logits"])[0].astype("float64")
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def test_the_row_is_masked_by_types_and_its_softmax_named(extractor):
    pieces = ["[CLS]", "[unused1]", "was", "born", "in", "[unused3]", ".", "[SEP]"]
    expected = softmax_of(extractor, [extractor.tokenizer.token_to_id(piece) for piece in pieces])
    found = extractor.extract(*BORN)
    assert isinstance(found, Relation) and list(found.scores) == list(LABELS)
    np.testing.assert_allclose(list(found.scores.values()), expected, atol=1e-5)
    assert found.label == LABELS[int(expected.argmax())] and found.score == max(found.scores.values())


@pytest.mark.parametrize("mode", MODES)
def test_a_text_gives_what_its_tokens_give_in_every_mode(make_extractor, mode):
    extractor = make_extractor(feature_mode=mode)
    by_tokens = extractor.extract(*BORN)
    text = "Ann was born in Oslo."
    same([extractor.extract(text, (0, 3), (16, 20), "PERSON", "CITY")], [by_tokens])
    nested = extractor.extract("the city of Rome", (0, 16), (12, 16), "ORGANIZATION", "CITY")
    same([nested], [extractor.extract("the city of Rome".split(), (0, 4), (3, 4), "ORGANIZATION", "CITY")])
    assert nested != extractor.extract("the city of Rome", (12, 16), (0, 16), "ORGANIZATION", "CITY")


@pytest.mark.parametrize("mode", MODES)
def test_added_tokens_in_a_text_are_those_of_its_tokens(randomize, mode):
    pieces = ["[PAD]", *UNUSED, "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "]", "/", "E1", *WORDS]
    tokenizer = SpanBertTokenizer(pieces, added_tokens=["[E1]", "[/E1]"])
    encoder = SpanBertEncoder(len(pieces) + 2, 1, 2, 10, 18, max_sequence_length=24, dropout=0.0, tokenizer=tokenizer)
    extractor = SpanBertRelationExtractor(encoder, labels=LABELS, feature_mode=mode, **TYPES)
    randomize(extractor, scale=0.4)
    tokens = ["[E1]", "Ann", "[/E1]", *BORN[0][1:]]
    text = "[E1] Ann[/E1] was born in Oslo."
    for span, place in (((5, 8), (1, 2)), ((0, 13), (0, 3))):
        found = extractor.extract(text, span, (26, 30), "PERSON", "CITY")
        same([found], [extractor.extract(tokens, place, (6, 7), "PERSON", "CITY")])


def test_characters_count_as_python_counts_them_and_brackets_as_the_treebank_writes_them(make_extractor):
    extractor = make_extractor(feature_mode="text", subject_types=(), object_types=())
    tokens = ["😀", "😀", "Ann", "(", "in", "Oslo", ")"]
    text = "😀😀 Ann (in Oslo)"
    assert (text[3:6], text[11:15]) == ("Ann", "Oslo")
    expected = extractor.extract(["😀 😀", *tokens[2:]], (1, 2), (4, 5))
    found = extractor.extract(text.replace("😀😀", "😀 😀"), (4, 7), (12, 16))
    same([found], [expected])
    treebank = [{"(": "-LRB-", ")": "-RRB-"}.get(token, token) for token in tokens]
    same([extractor.extract(treebank, (2, 3), (5, 6))], [extractor.extract(tokens, (2, 3), (5, 6))])


@pytest.mark.parametrize("mode", MODES)
def test_batches_order_and_padding_change_nothing(make_extractor, mode):
    extractor, columns = make_extractor(feature_mode=mode), asked(13)
    centre(extractor, columns)
    ones = [extractor.extract(*row) for row in zip(*columns, strict=True)]
    for batch_size in (1, 3, 32):
        same(extractor.extract(*columns, batch_size=batch_size), ones)
    same(extractor.extract(*(column[::-1] for column in columns), batch_size=5)[::-1], ones)
    assert len({one.label for one in ones}) > 1
    assert extractor.extract([], [], [], [], []) == []


def test_sentences_and_cuts_are_counted(make_extractor):
    extractor = make_extractor(row_length=16)
    assert extractor.counts == {"sentences": 0, "sentences_cut": 0}
    for size in (14, 15, 30):
        extractor.extract(["a"] * size, (0, 1), (size - 1, size), "PERSON", "CITY")
    assert extractor.counts == {"sentences": 3, "sentences_cut": 2}


def test_markers_are_listed_in_their_order_and_travel_in_the_file(make_extractor, tmp_path):
    extractor = make_extractor(pooler=True)
    assert extractor.markers == MARKERS and list(extractor.markers) == list(MARKERS)
    extractor.markers["SUBJ-PERSON"] = "[unused9]"  # a copy
    assert extractor.markers == MARKERS
    extractor.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert list(again.markers.items()) == list(MARKERS.items()) and again.labels == LABELS
    for name in MARKERS:
        assert again.entities.marker(name) == extractor.entities.marker(name)
    columns = asked(5, seed=2)
    same(again.extract(*columns), extractor.extract(*columns))
    assert again.counts == extractor.counts


def test_custom_markers_are_used_and_other_pieces_give_other_numbers(make_extractor):
    own = dict(zip(MARKERS, UNUSED[::-1], strict=False))
    extractor = make_extractor(markers=own, subject_types=(), object_types=())
    assert extractor.markers == own
    before = extractor.extract(*BORN)
    extractor.markers = MARKERS
    assert extractor.markers == MARKERS and extractor.get_config()["markers"] == MARKERS
    assert extractor.extract(*BORN) != before


def test_a_model_without_markers_computes_but_reads_no_sentences(make_extractor, tmp_path):
    extractor = make_extractor(markers={})
    assert extractor.markers == {} and softmax_of(extractor, [14, 3, 15]).sum() == pytest.approx(1.0)
    extractor.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for model in (extractor, again):
        with pytest.raises(InputError, match="does not know which pieces mark entities, and does not guess"):
            model.extract(*BORN)
        assert model.counts == {"sentences": 0, "sentences_cut": 0}
    again.markers = MARKERS
    assert isinstance(again.extract(*BORN), Relation)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({3: "CITY"}, "'CITY' is not a type of subject that this model knows. Expected: one of PERSON, ORGANIZATION."),
        ({4: "DATE"}, "'DATE' is not a type of object that this model knows. Expected: one of CITY, PERSON."),
        ({3: None}, "The type of the subject is missing. Expected: `subject_type`, one of PERSON, ORGANIZATION"),
        ({1: (6, 7)}, r"Sentence 0: the subject must be a half-open range of its 6 tokens. Received: \(6, 7\)."),
        ({0: "Ann", 1: (0, 4)}, "the subject must be a half-open range of its 3 characters"),
        ({0: "", 1: (0, 1)}, "of its 0 characters"),
        ({0: [], 1: (0, 1)}, "of its 0 tokens"),
        ({2: None}, r"`object` must be \(start, end\). Received: None."),
        ({0: [BORN[0]] * 2, 1: [(0, 1)] * 2, 2: [(0, 1)]}, "one `object` for each sentence. Expected: 2. Received: 1."),
    ],
)
def test_invalid_sentences_are_rejected_with_a_message(extractor, changes, message):
    before = dict(extractor.counts)
    with pytest.raises(InputError, match=message):
        extractor.extract(*(changes.get(place, value) for place, value in enumerate(BORN)))
    assert extractor.counts == before


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"labels": ()}, "`labels` must name the relations. Received: none."),
        ({"labels": ("a", "a")}, "several different names"),
        ({"feature_mode": "words"}, "`feature_mode` must be one of .*Received: feature_mode='words'"),
        ({"row_length": 25}, "at most the encoder's 24 positions. Received: 25"),
        ({"row_length": 12}, "of at least 16. Received: row_length=12"),
        ({"subject_types": ()}, r"must name the types .* in mode 'ner'. Received: \(\) and \("),
        ({"object_types": (), "feature_mode": "ner_text"}, "must name the types .* in mode 'ner_text'"),
        ({"unused": 3}, r"Expected: 4 of them. Received: 3. Add pieces \[unused4\]"),
        ({"unused": 7, "feature_mode": "text_ner"}, "Expected: 8 of them. Received: 7."),
    ],
)
def test_invalid_settings_are_rejected(make_extractor, settings, message):
    with pytest.raises(ValueError, match=message):
        make_extractor(**settings)


def test_a_relation_has_one_label(make_extractor):
    with pytest.raises(TypeError, match="problem_type"):
        make_extractor(problem_type="multi_label")
