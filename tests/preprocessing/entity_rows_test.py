"""Marked sentences: by hand, and against slow oracles on random sentences, entities and lengths of rows."""

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing import entity_rows
from spanbert_keras.preprocessing.entity_rows import MODES, EntityPair, EntityRows, assign_markers, marker_names

CLS, SEP = 2, 3
SUBJECTS, OBJECTS = ("PERSON", "ORGANIZATION"), ("CITY", "PERSON", "DATE")
UNUSED = [f"[unused{i}]" for i in range(1, 13)]


@pytest.fixture(scope="module")
def tokenizer(toy_pieces):
    from spanbert_keras import SpanBertTokenizer

    return SpanBertTokenizer([*toy_pieces, *"()[]{}", *UNUSED])


@pytest.fixture(scope="module")
def make_rows(tokenizer):
    def make(mode="ner", row_length=128, markers=None):
        if markers is None:
            markers = assign_markers(tokenizer, marker_names(mode, SUBJECTS, OBJECTS))
        return EntityRows(tokenizer, markers, mode, row_length)

    return make


def pieces(rows, pair):
    """The row of a pair, as a str of pieces."""
    row = rows.rows([pair])[0]
    assert row.token_ids.dtype == row.segment_ids.dtype == np.int32 and not row.segment_ids.any()
    assert len(row.segment_ids) == len(row.token_ids)
    names = {piece: name for name, piece in rows.markers.items()}
    every = [rows.tokenizer.id_to_token(int(i)) for i in row.token_ids]
    return " ".join(names.get(piece, piece) for piece in every)


BORN = EntityPair(("w0", "w1e0", "w2", "w3", "w4", "w5"), (1, 3), (4, 5), "PERSON", "CITY")


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("ner", "w0 SUBJ-PERSON w3 OBJ-CITY w5"),
        ("text", "w0 SUBJ-START w1 ##e0 w2 SUBJ-END w3 OBJ-START w4 OBJ-END w5"),
        ("text_ner", "w0 SUBJ-START w1 ##e0 w2 SUBJ-END w3 OBJ-START w4 OBJ-END w5 [SEP] SUBJ-PERSON [SEP] OBJ-CITY"),
        ("ner_text", "w0 SUBJ-PERSON w3 OBJ-CITY w5 [SEP] w1 ##e0 w2 [SEP] w4"),
    ],
)
def test_the_four_modes_by_hand(make_rows, mode, expected):
    assert pieces(make_rows(mode), BORN) == f"[CLS] {expected} [SEP]"


def test_nested_and_equal_entities_keep_both_markers(make_rows):
    units = tuple(f"w{i}" for i in range(5))
    nested = EntityPair(units, (1, 4), (2, 3), "ORGANIZATION", "CITY")
    assert pieces(make_rows(), nested) == "[CLS] w0 SUBJ-ORGANIZATION OBJ-CITY w4 [SEP]"
    expected = "[CLS] w0 SUBJ-START w1 OBJ-START w2 OBJ-END w3 SUBJ-END w4 [SEP]"
    assert pieces(make_rows("text"), nested) == expected
    same = EntityPair(units, (1, 2), (1, 2), "PERSON", "PERSON")
    assert pieces(make_rows(), same) == "[CLS] w0 SUBJ-PERSON OBJ-PERSON w2 w3 w4 [SEP]"


def test_penn_treebank_brackets_are_read_as_brackets(make_rows):
    units = ("-LRB-", "w0", "-RRB-", "-LSB-", "w1", "-RSB-", "-LCB-", "-RCB-")
    pair = EntityPair(units, (1, 2), (4, 5), "PERSON", "CITY")
    assert pieces(make_rows("text"), pair) == ("[CLS] ( SUBJ-START w0 SUBJ-END ) [ OBJ-START w1 OBJ-END ] { } [SEP]")


def test_a_literal_marker_in_the_text_is_ordinary_text(make_rows):
    pair = EntityPair(("[unused1]", "w0", "[SEP]", "w1"), (1, 2), (3, 4), "PERSON", "CITY")
    row = make_rows().rows([pair])[0].token_ids.tolist()
    assert row.count(make_rows().marker("SUBJ-PERSON")) == 1 and row.count(SEP) == 1


def full_body(rows, pair):
    """Ids of a whole sentence with markers, and whether each is "m"arker, "e"ntity or "c"ontext: a slow oracle."""
    ids, roles = [], []
    sides = (("SUBJ", pair.subject, pair.subject_type), ("OBJ", pair.object, pair.object_type))
    masked = rows.mode.startswith("ner")
    for place in range(len(pair.units) + 1):
        if not masked:
            ends = [rows.marker(f"{side}-END") for side, span, _ in sides if span[1] == place]
            ids, roles = ids + ends, roles + ["m"] * len(ends)
        starts = [rows.marker(f"{s}-{kind if masked else 'START'}") for s, span, kind in sides if span[0] == place]
        ids, roles = ids + starts, roles + ["m"] * len(starts)
        if place < len(pair.units):
            inside = any(place in range(*span) for _, span, _ in sides)
            of_unit = rows.tokenizer(pair.units[place])
            if not (inside and masked):
                ids, roles = ids + of_unit, roles + ["e" if inside else "c"] * len(of_unit)
    return ids, roles


def greedy(ids, roles, room):
    """Pieces taken one by one: markers, what is between them if all of it fits, the nearest to a marker; left first."""
    if len(ids) <= room:
        return ids
    marks = [i for i, role in enumerate(roles) if role == "m"]
    between = list(range(marks[0], marks[-1] + 1))
    kept = set(between if len(between) <= room else marks)
    while len(kept) < room:
        rest = [i for i in range(len(ids)) if i not in kept]
        kept.add(min(rest, key=lambda i: (min(abs(i - m) for m in marks), i)))
    return [ids[i] for i in sorted(kept)]


def random_pair(rng, longest=60):
    """A sentence of 1 to `longest` words of one to three pieces, and entities anywhere, overlapping or not."""
    size = int(rng.integers(1, longest + 1))
    words = [
        f"w{rng.integers(45)}" + "".join(f"e{i}" for i in rng.integers(14, size=rng.integers(3))) for _ in range(size)
    ]
    spans = []
    for _ in range(2):
        start = int(rng.integers(size))
        spans.append((start, int(rng.integers(start + 1, min(size, start + 1 + rng.integers(1, 30)) + 1))))
    return EntityPair(tuple(words), *spans, str(rng.choice(SUBJECTS)), str(rng.choice(OBJECTS)))


@pytest.mark.parametrize("row_length", [16, 17, 24, 40, 128])
def test_masked_rows_are_those_of_a_slow_greedy_choice(make_rows, row_length):
    rng, rows = np.random.default_rng(row_length), make_rows(row_length=row_length)
    pairs = [random_pair(rng) for _ in range(80)]
    for pair, row in zip(pairs, rows.rows(pairs), strict=True):
        ids, roles = full_body(rows, pair)
        assert row.token_ids.tolist() == [CLS, *greedy(ids, roles, row_length - 2), SEP]
        assert row.cut == (len(ids) > row_length - 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row_length", [16, 19, 33])
def test_markers_and_then_entities_are_kept_at_any_place(make_rows, mode, row_length):
    """Laws over random sentences: nothing too long, no marker lost, no entity's word before all context went."""
    rng, rows, seen = np.random.default_rng(3), make_rows(mode, row_length), 0
    pairs = [random_pair(rng) for _ in range(150)]
    for pair, row in zip(pairs, rows.rows(pairs), strict=True):
        ids, roles = full_body(rows, pair)
        found = row.token_ids.tolist()
        assert len(found) <= row_length and (found[0], found[-1]) == (CLS, SEP)
        body = found[1 : found.index(SEP)]
        tail = found[found.index(SEP) : -1]
        marks = [i for i, role in zip(ids, roles, strict=True) if role == "m"]
        assert [i for i in body if i in marks] == marks
        rest = iter(ids)
        assert all(i in rest for i in body)  # in the sentence's order
        room = row_length - 2 - len(tail)
        assert len(body) == min(len(ids), room)
        of_entities = roles.count("e")
        if of_entities + len(marks) <= room:
            words = iter(body)
            assert all(i in words for i, role in zip(ids, roles, strict=True) if role != "c")
        spans = (pair.subject, pair.object)
        words = [[i for unit in pair.units[slice(*span)] for i in rows.tokenizer(unit)] for span in spans]
        quarter = row_length // 4
        expected = {
            "ner_text": [SEP, *words[0][:quarter], SEP, *words[1][:quarter]],
            "text_ner": [SEP, *(rows.marker(f"{s}-{t}") for s, t in (("SUBJ", pair.subject_type),))]
            + [SEP, rows.marker(f"OBJ-{pair.object_type}")]
            if mode == "text_ner"
            else [],
        }.get(mode, [])
        assert tail == expected
        cut_words = mode == "ner_text" and max(map(len, words)) > quarter
        assert row.cut == (len(ids) > room or cut_words)
        seen += row.cut
    assert 20 < seen


def test_words_lost_in_the_tail_count_as_cut(make_rows):
    pair = EntityPair(tuple(f"w{i}" for i in range(8)), (0, 6), (7, 8), "PERSON", "CITY")
    row = make_rows("ner_text", 16).rows([pair])[0]
    assert len(row) == 12 and row.cut  # six words, of which four fit
    assert not make_rows("ner_text", 24).rows([pair])[0].cut


def test_a_very_long_sentence_between_and_inside_entities_needs_little_memory(make_rows):
    """Of entities of 30,000 words a table of distances from each to each would take gigabytes."""
    units = ("w1",) * 60_000
    rows = make_rows("text", 32).rows([EntityPair(units, (0, 30_000), (30_001, 60_000), "PERSON", "CITY")])
    assert len(rows[0]) == 32 and rows[0].cut


def test_a_batch_is_its_sentences_one_by_one(make_rows):
    rng, rows = np.random.default_rng(5), make_rows("text_ner", 30)
    pairs = [random_pair(rng) for _ in range(9)]
    for pair, row in zip(pairs, rows.rows(pairs), strict=True):
        assert rows.rows([pair])[0].token_ids.tolist() == row.token_ids.tolist()
    assert rows.rows([]) == []


def test_marker_names_have_a_fixed_order():
    typed = ["SUBJ-B", "SUBJ-A", "OBJ-C", "OBJ-B"]
    bounds = ["SUBJ-START", "SUBJ-END", "OBJ-START", "OBJ-END"]
    expected = {"ner": typed, "ner_text": typed, "text": bounds, "text_ner": bounds + typed}
    assert {mode: marker_names(mode, ["B", "A", "B"], ("C", "B", "C")) for mode in MODES} == expected


def test_markers_are_the_vocabularys_unused_pieces_in_order(tokenizer):
    assert assign_markers(tokenizer, ["a", "b", "c"]) == {"a": "[unused1]", "b": "[unused2]", "c": "[unused3]"}
    assert list(assign_markers(tokenizer, [str(i) for i in range(12)]).values()) == UNUSED
    with pytest.raises(ValueError, match=r"Expected: 13 of them\. Received: 12\..*\[unused13\].*convert --add_tokens"):
        assign_markers(tokenizer, [str(i) for i in range(13)])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"subject": (2, 2)}, r"Sentence 1: the subject must be a half-open range of its 6 tokens\. .*\(2, 2\)"),
        ({"object": (5, 7)}, r"the object must be .* Received: \(5, 7\)"),
        ({"subject": (-1, 2)}, r"the subject must be .* Received: \(-1, 2\)"),
        ({"subject_type": "CITY"}, "'CITY' is not a type of subject .* Expected: one of PERSON, ORGANIZATION"),
        ({"object_type": ""}, "The type of the object is missing. Expected: `object_type`, one of"),
    ],
)
def test_invalid_entities_are_rejected(make_rows, changes, message):
    wrong = EntityPair(**(vars(BORN) | changes))
    with pytest.raises(InputError, match=message):
        make_rows().rows([BORN, wrong])


def test_listed_types_do_not_include_boundaries(make_rows):
    with pytest.raises(InputError, match="Expected: one of PERSON, ORGANIZATION.$"):
        make_rows("text_ner").marker("SUBJ-CITY")
    with pytest.raises(InputError, match="'CITY' is not a type of object .* Expected: a marker of it in `markers`"):
        make_rows(markers={"SUBJ-PERSON": "[unused1]"}).marker("OBJ-CITY")


def test_missing_markers_are_not_guessed(make_rows):
    for mode in MODES:
        with pytest.raises(InputError, match=r"does not know which pieces mark entities, and does not guess"):
            make_rows(mode, markers={}).rows([BORN])
    with pytest.raises(InputError, match=r"lacks the piece '\[unused77\]', which marks SUBJ-PERSON"):
        make_rows(markers={"SUBJ-PERSON": "[unused77]", "OBJ-CITY": "[unused1]"}).rows([BORN])


def test_settings_are_checked(make_rows):
    with pytest.raises(ValueError, match=r"`feature_mode` must be one of .*ner.* Received: feature_mode='words'"):
        make_rows("words", markers={})
    with pytest.raises(ValueError, match="of at least 16. Received: row_length=15"):
        make_rows(row_length=15)
    assert set(entity_rows.BRACKETS.values()) == set("()[]{}")


def test_distances_are_those_to_the_nearest_place():
    for places in ([0], [4], [1, 2, 9], [0, 5, 6, 11], [3, 8]):
        expected = [min(abs(i - place) for place in places) for i in range(12)]
        assert entity_rows._distances(12, np.array(places)).tolist() == expected
