"""Segments against the rules of the released code, written down piece by piece, on random documents."""

import numpy as np
import pytest

from spanbert_keras.preprocessing.document_segments import DocumentSegments, span_limit

CLS, SEP, UNK = 2, 3, 1
LENGTHS = [3, 4, 7, 12, 40]


def make_document(seed, words=60, longest=5):
    """Returns random words of 1 to `longest` pieces each (or of none), sentences and speakers, and the pieces' ids."""
    rng = np.random.default_rng(seed)
    tokens, pieces = [], []
    for _ in range(words):
        first, others = rng.integers(0, 45), rng.integers(0, 14, rng.integers(0, longest))
        if rng.random() < 0.05:
            tokens.append("\x00")
            pieces.append([UNK])
        else:
            tokens.append(f"w{first}" + "".join(f"e{other}" for other in others))
            pieces.append([5 + int(first), *(50 + int(other) for other in others)])
    bounds = np.unique([0, *rng.integers(1, words, rng.integers(1, words // 4)), words]).tolist()
    sentences = list(zip(bounds[:-1], bounds[1:], strict=True))
    speakers = np.repeat(rng.choice(["Ann", "Bob", "", "C"], words), rng.integers(1, 6, words))[:words].tolist()
    return tokens, sentences, speakers, pieces


def released(pieces, sentences, length):
    """Fact by fact: what is where, as a list of (id, word, sentence number, segment, place in the word, is last).

    A segment holds the pieces to the last end of a sentence that fits, else to the last end of a word. [CLS] takes the
    word before it, 0 at first, [SEP] the last one; both take the counter of sentences, which rises after a sentence's
    last piece.
    """
    room = length - 2
    ends_sentence = {end - 1 for _, end in sentences}
    flat = []
    for word, ids in enumerate(pieces):
        ids = ids[:room]
        flat += [(x, word, n, n == len(ids) - 1) for n, x in enumerate(ids)]
    rows, position, counter, segment, before = [], 0, 0, 0, 0
    while position < len(flat):
        reach = range(position, min(position + room, len(flat)))
        ends = [p for p in reach if flat[p][3] and flat[p][1] in ends_sentence] or [p for p in reach if flat[p][3]]
        rows.append((CLS, before, counter, segment, None, None))
        for x, word, n, is_last in flat[position : ends[-1] + 1]:
            rows.append((x, word, counter, segment, n, is_last))
            counter += is_last and word in ends_sentence
            before = word
        rows.append((SEP, before, counter, segment, None, None))
        position, segment = ends[-1] + 1, segment + 1
    return rows


def allowed(document, widest=30):
    """Returns every span that may be a mention, as a set of (first, last) pieces."""
    starts, ends = document.start_groups, document.end_groups
    return {(s, e) for s in range(len(starts)) for e in range(s, min(s + widest, len(ends))) if starts[s] == ends[e]}


@pytest.fixture(scope="module")
def cut(toy_tokenizer):
    """Function that cuts a document of `make_document`."""

    def make(document, length, candidates="words"):
        return DocumentSegments(toy_tokenizer, length, candidates).cut(*document[:3])

    return make


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("seed", range(4))
def test_pieces_words_and_segments_are_the_released_codes(cut, seed, length):
    document = make_document(seed)
    rows = released(document[3], document[1], length)
    for candidates in ("words", "pieces"):
        found = cut(document, length, candidates)
        assert np.concatenate(found.segments).tolist() == [row[0] for row in rows]
        assert found.words.tolist() == [row[1] for row in rows]
        assert found.segment_numbers.tolist() == [row[3] for row in rows]
        assert [len(s) for s in found.segments] == np.bincount([row[3] for row in rows]).tolist()
        assert max(map(len, found.segments)) <= length and len(found) == len(rows)
        arrays = (found.words, found.start_groups, found.end_groups, found.speakers, found.segment_numbers)
        assert {a.dtype.name for a in (*arrays, *found.segments)} == {"int32"} and {a.shape for a in arrays} == {
            (len(rows),)
        }


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("seed", range(4))
def test_in_pieces_any_two_of_one_sentence_number_make_a_candidate(cut, seed, length):
    document = make_document(seed)
    rows = released(document[3], document[1], length)
    expected = {(s, e) for s in range(len(rows)) for e in range(s, min(s + 30, len(rows))) if rows[s][2] == rows[e][2]}
    found = cut(document, length, "pieces")
    assert allowed(found) == expected
    assert found.start_groups.tolist() == found.end_groups.tolist() == [row[2] for row in rows]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("seed", range(4))
def test_in_words_candidates_are_whole_words_of_one_sentence_and_segment(cut, seed, length):
    document = make_document(seed)
    sentence_of = [n for n, (start, end) in enumerate(document[1]) for _ in range(start, end)]
    rows = released(document[3], document[1], length)
    expected = set()
    for s, (_, word, _, segment, place, _) in enumerate(rows):
        for e in range(s, min(s + 30, len(rows))):
            same = rows[e][3] == segment and sentence_of[rows[e][1]] == sentence_of[word]
            if place == 0 and rows[e][5] and same:
                expected.add((s, e))
    assert allowed(cut(document, length)) == expected


@pytest.mark.parametrize("candidates", ["words", "pieces"])
@pytest.mark.parametrize("seed", range(3))
def test_all_segments_together_hold_every_piece_once(cut, seed, candidates):
    document = make_document(seed, words=100)
    for length in (8, 13, 50):
        found = cut(document, length, candidates)
        assert [(s[0], s[-1]) for s in found.segments] == [(CLS, SEP)] * len(found.segments)
        assert np.concatenate([s[1:-1] for s in found.segments]).tolist() == sum(document[3], [])
        assert found.words_cut == 0


def test_a_segment_ends_with_a_sentence_if_possible_else_with_a_word(cut):
    """Room for six pieces: sentences of 4 and 3 do not fit together; one of 8 is cut at its third word's end."""
    words = ["w1", "w2", "w3e1", "w4", "w5e2", "w6e1", "w7", "w8e1e2e3", "w9"]
    found = cut((words, [(0, 3), (3, 5), (5, 9)], [""] * 9), 8)
    assert [s[1:-1].tolist() for s in found.segments] == [
        [6, 7, 8, 51],
        [9, 10, 52],
        [11, 51, 12],
        [13, 51, 52, 53, 14],
    ]
    exact = cut((words[:5], [(0, 3), (3, 5)], [""] * 5), 9)
    assert [len(s) for s in exact.segments] == [9]  # both sentences fill a segment to its last piece


def test_a_word_longer_than_a_segment_loses_its_last_pieces_and_is_counted(cut):
    words = ["w1", "w2" + "e1" * 9, "w3", "w4" + "e2" * 6, "w5" + "e3" * 5]
    found = cut((words, [(0, 5)], [""] * 5), 8)
    assert found.words_cut == 2
    assert [s[1:-1].tolist() for s in found.segments] == [[6], [7] + [51] * 5, [8], [9] + [52] * 5, [10] + [53] * 5]
    assert found.pieces_of(1, 2) == (4, 9) and found.words_of(4, 9) == (1, 2)
    assert cut((words[:1], [(0, 1)], [""]), 3).words_cut == 0


def test_words_without_pieces_are_unknown_ones(cut):
    found = cut((["\x00", "w1", "\u200b\x07", "日"], [(0, 4)], [""] * 4), 20)
    assert found.segments[0].tolist() == [CLS, UNK, 6, UNK, UNK, SEP] and found.words.tolist() == [0, 0, 1, 2, 3, 3]
    assert [found.pieces_of(w, w + 1) for w in range(4)] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert cut((["\x00"], [(0, 1)], [""]), 3).segments[0].tolist() == [CLS, UNK, SEP]


@pytest.mark.parametrize("candidates", ["words", "pieces"])
@pytest.mark.parametrize("length", [5, 12, 200])
def test_words_become_pieces_and_pieces_words(cut, length, candidates):
    document = make_document(5, words=40)
    found = cut(document, length, candidates)
    rows = released(document[3], document[1], length)
    for start in range(40):
        for end in range(start + 1, 41):
            mine = [p for p, row in enumerate(rows) if row[4] is not None and start <= row[1] < end]
            assert found.pieces_of(start, end) == (mine[0], mine[-1])
            assert found.words_of(mine[0], mine[-1]) == (start, end)
    assert found.pieces_of(3, 3) is None and found.pieces_of(38, 41) is None and found.pieces_of(40, 41) is None


@pytest.mark.parametrize("candidates", ["words", "pieces"])
def test_a_part_is_a_document_of_some_segments(cut, candidates):
    document = make_document(2, words=80)
    whole = cut(document, 15, candidates)
    count = len(whole.segments)
    assert count > 6
    for first, number in [(0, 1), (0, count), (2, 3), (count - 2, 2), (count - 1, 5)]:
        part = whole.part(first, number)
        taken = [s.tolist() for s in whole.segments[first : first + number]]
        assert [s.tolist() for s in part.segments] == taken and len(part) == sum(map(len, taken))
        here = (whole.segment_numbers >= first) & (whole.segment_numbers < first + number)
        for name in ("words", "start_groups", "end_groups", "speakers"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[here])
        np.testing.assert_array_equal(part.segment_numbers, whole.segment_numbers[here] - first)
        offset = int(np.flatnonzero(here)[0])
        for start in range(80):
            for end in (start + 1, min(start + 3, 80)):
                places = whole.pieces_of(start, end)
                inside = here[list(places)].all()
                expected = (places[0] - offset, places[1] - offset) if inside else None
                assert part.pieces_of(start, end) == expected
                if inside:
                    assert part.words_of(*expected) == (start, end)


def test_speakers_have_numbers_that_never_collide(cut):
    """The released code gives every speaker past the twentieth the number 3; here each has its own, however many."""
    names = [f"speaker {n // 2}" for n in range(120)]
    names[7] = ""  # unknown is a speaker too
    found = cut(([f"w{n % 45}e1" for n in range(120)], [(0, 50), (50, 120)], names), 30)
    numbers = {}
    for place in range(len(found)):
        x = np.concatenate(found.segments)[place]
        if x in (CLS, SEP):
            assert found.speakers[place] == 1
        else:
            numbers.setdefault(names[found.words[place]], set()).add(int(found.speakers[place]))
    assert all(len(of_name) == 1 for of_name in numbers.values()) and len(numbers) == 61
    used = set.union(*numbers.values())
    assert len(used) == 61 and min(used) == 2


def test_a_literal_special_piece_in_a_word_is_ordinary_text(cut, toy_tokenizer):
    found = cut((["[SEP]", "w1"], [(0, 2)], ["", ""]), 20)
    assert found.segments[0].tolist().count(SEP) == 1
    assert found.pieces_of(0, 2) == (1, len(found) - 2)


@pytest.mark.parametrize("settings", [(2, "words"), (0, "words"), (8, "word"), (8, "")])
def test_inconsistent_settings_are_rejected(toy_tokenizer, settings):
    with pytest.raises(ValueError, match=f"Received: (candidates={settings[1]!r}|segment_length={settings[0]})"):
        DocumentSegments(toy_tokenizer, *settings)


def test_the_default_candidates_are_words(toy_tokenizer):
    assert DocumentSegments(toy_tokenizer, 8).candidates == "words"


@pytest.mark.parametrize("pieces, limit", [(0, 1), (3, 1), (4, 1), (11, 2), (400, 100)])
def test_a_share_of_the_pieces_and_at_least_one_span_is_kept(pieces, limit):
    assert span_limit(0.25, pieces) == limit
