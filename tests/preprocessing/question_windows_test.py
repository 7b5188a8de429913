"""Questions and contexts to rows: by hand on a toy vocabulary, by law on random sizes, offsets on hard Unicode."""

import unicodedata

import numpy as np
import pytest

from spanbert_keras import SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.question_windows import Passage, QuestionWindows

CLS, SEP = 2, 3
HARD = [
    "caf\u00e9 cafe\u0301 e\u0301\u0327 a",  # composed, decomposed, two accents
    "\u0301a \u0130stanbul \u017fo \ufb01n",  # an accent first, dotted I, long s, a ligature
    "I 😀 you 👩\u200d👧 👍🏽!",
    "中文 and 日本語 한글 \u1112\u1161\u11ab",  # a space round each ideograph; Hangul, also by its letters
    "a\x00b\x07 \tc\r\nd\ufffd",
    "zero\u200bwidth \u200d \ufeffmark soft\u00adhyphen",
    "a\u00a0b\u2028c\u202fd\u3000e",
    "no(spaces)-at.all,here!",
    f"a {'b' * 300} c",  # too long for the vocabulary: one [UNK]
    "\U0001d518\U0001d52b\U0001d526 ½ \ufdfa ǅ",
    "नि กำ \u09cb x",
    "end \x00",
    "\x00 begin",
]


def words(*numbers):
    """Text of the toy words, and their ids."""
    return " ".join(f"w{i}" for i in numbers), [5 + i for i in numbers]


@pytest.fixture(scope="module", params=["cased", "uncased"])
def letters(request):
    """Windows over a tokenizer that spells what a Latin keyboard has and some more, cased or not."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = sorted({*map(chr, range(33, 127)), *"é½中文日本語한글😀\u1112\u1161\u11ab\u0301"})
    tokenizer = SpanBertTokenizer([*specials, *pieces, *("##" + p for p in pieces)], request.param == "uncased")
    return QuestionWindows(tokenizer)


@pytest.fixture
def make_windows(toy_tokenizer):
    return lambda **settings: QuestionWindows(toy_tokenizer, **settings)


@pytest.mark.parametrize("num_segments", [1, 2, 4])
@pytest.mark.parametrize("order", ["question_first", "passage_first"])
def test_rows_are_cls_first_sep_second_sep_with_segments_0_and_1(make_windows, order, num_segments):
    windows = make_windows(input_order=order, num_segments=num_segments)
    (question, q), (context, p) = words(1, 2, 3), words(11, 12, 13, 14, 15)
    (ids, cut), passage = windows.questions([question])[0], windows.passages([context])[0]
    (window,) = windows.split(ids, passage)
    first, second, offset = (q, p, 5) if order == "question_first" else (p, q, 1)
    assert window.token_ids.tolist() == [CLS, *first, SEP, *second, SEP] and not cut
    ones = 1 if num_segments > 1 else 0
    assert window.segment_ids.tolist() == [0] * (len(first) + 2) + [ones] * (len(second) + 1)
    assert (window.offset, window.begin, window.end) == (offset, 0, 5)
    assert window.token_ids[offset : offset + 5].tolist() == p
    assert window.token_ids.dtype == window.segment_ids.dtype == np.int32


@pytest.mark.parametrize("order", ["question_first", "passage_first"])
@pytest.mark.parametrize("stride", [1, 3, 6, 7, 100])
@pytest.mark.parametrize("question_pieces", [1, 4])
@pytest.mark.parametrize("length", [1, 6, 7, 8, 9, 25, 26])
def test_windows_advance_by_the_stride_and_hold_every_piece(make_windows, order, stride, question_pieces, length):
    """Windows are full but for the last, which is the first to reach the end; the stride never leaves a gap."""
    windows = make_windows(window_length=14, stride=stride, input_order=order, max_question_pieces=5)
    question, passage = np.arange(5, 5 + question_pieces), np.arange(9, 9 + length)
    room = 14 - question_pieces - 3
    begins, step = [0], min(stride, room)
    while begins[-1] + room < length:
        begins.append(begins[-1] + step)
    rows = windows.split(question, Passage(passage, passage, passage + 1))
    assert [row.begin for row in rows] == begins
    assert [row.end for row in rows] == [min(begin + room, length) for begin in begins]
    assert {piece for row in rows for piece in range(row.begin, row.end)} == set(range(length))
    for row in rows:
        assert len(row.token_ids) == len(row.segment_ids) <= 14
        assert (
            row.token_ids[row.offset : row.offset + row.end - row.begin].tolist()
            == passage[row.begin : row.end].tolist()
        )
        assert row.token_ids[0] == CLS and (row.token_ids == SEP).sum() == 2 and row.token_ids[-1] == SEP
        without = np.delete(row.token_ids, np.arange(row.offset, row.offset + row.end - row.begin))
        assert without.tolist().count(CLS) == 1
        assert [piece for piece in without.tolist() if piece not in (CLS, SEP)] == question.tolist()


def test_the_papers_sizes_are_the_default(make_windows):
    windows = make_windows()
    assert (windows.window_length, windows.stride, windows.max_question_pieces) == (512, 128, 64)
    assert (windows.input_order, windows.special_tokens_in_text) == ("question_first", False)
    rows = windows.split(np.full(10, 7), Passage(np.full(700, 8), np.arange(700), np.arange(700) + 1))
    assert [(row.begin, row.end) for row in rows] == [(0, 499), (128, 627), (256, 700)]  # 512 - 10 - 3


def test_long_questions_are_cut_and_flagged(make_windows):
    windows = make_windows(max_question_pieces=4)
    texts = [words(*range(n))[0] for n in (3, 4, 5, 9)]
    found = windows.questions(texts)
    assert [ids.tolist() for ids, _ in found] == [[5, 6, 7], [5, 6, 7, 8], [5, 6, 7, 8], [5, 6, 7, 8]]
    assert [cut for _, cut in found] == [False, False, True, True]
    assert {ids.dtype for ids, _ in found} == {np.dtype("int32")}


@pytest.mark.parametrize("window_length, limit", [(5, 1), (6, 1), (7, 2), (20, 8), (131, 64), (512, 64)])
def test_a_question_never_takes_more_than_half_of_a_window(make_windows, window_length, limit):
    windows = make_windows(window_length=window_length)
    ids, cut = windows.questions([words(*([7] * 70))[0]])[0]
    assert (windows.question_limit, len(ids), cut) == (limit, limit, True)
    rows = windows.split(ids, Passage(np.arange(9), np.arange(9), np.arange(9) + 1))
    assert all(row.end > row.begin for row in rows) and max(len(row.token_ids) for row in rows) <= window_length


def test_positions_of_pieces_are_their_places_in_the_row(make_windows):
    windows = make_windows(window_length=13, stride=3)
    passage = Passage(np.arange(20, 40), np.arange(20), np.arange(20) + 1)
    for order in ("question_first", "passage_first"):
        for row in windows.replace(input_order=order).split(np.array([5, 6]), passage):
            for first in range(20):
                for last in range(first, 20):
                    inside = row.begin <= first and last < row.end
                    found = row.positions_of(first, last)
                    assert (found is not None) == inside
                    if inside:
                        pieces = row.token_ids[found[0] : found[1] + 1].tolist()
                        assert pieces == list(range(20 + first, 21 + last))


def test_pieces_of_a_span_are_all_that_overlap_it(make_windows):
    text = "w1##e1  w2 \x00 w3##e3"
    passage = Passage(np.arange(5), np.array([0, 2, 8, 13, 15]), np.array([2, 6, 10, 15, 19]))

    def slow(start, end):
        held = [i for i in range(5) if passage.starts[i] < end and passage.ends[i] > start]
        return (held[0], held[-1]) if held else None

    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            assert passage.pieces_of(start, end) == slow(start, end), (start, end)
    assert passage.pieces_of(6, 8) is None and passage.pieces_of(10, 13) is None
    assert passage.characters_of(0, 2) == (0, 10) and passage.characters_of(3, 3) == (13, 15)


@pytest.mark.parametrize("number", range(len(HARD)))
def test_offsets_on_hard_unicode_are_ordered_and_hold_every_visible_character(letters, number):
    text = HARD[number]
    passage = letters.passages([text])[0]
    assert len(passage.token_ids) == len(passage.starts) == len(passage.ends)
    assert (np.diff(passage.starts) >= 0).all() and (np.diff(passage.ends) >= 0).all()
    assert (passage.starts < passage.ends).all() and passage.starts[0] >= 0 and passage.ends[-1] <= len(text)
    held = {i for start, end in zip(passage.starts, passage.ends, strict=True) for i in range(start, end)}
    for i, character in enumerate(text):
        kind = unicodedata.category(character)
        if kind[0] in "LNPS" and character != "\ufffd":
            assert i in held, (i, character)
        if character.isspace() or kind in ("Cc", "Zs"):
            assert i not in held, (i, character)


@pytest.mark.parametrize("number", range(len(HARD)))
def test_any_span_of_pieces_is_recovered_from_its_characters(letters, number):
    """characters -> pieces -> characters is exact for spans that pieces begin and end; others grow to the pieces."""
    text = HARD[number]
    passage = letters.passages([text])[0]
    for first in range(min(12, len(passage.starts))):
        for last in range(first, min(first + 12, len(passage.starts))):
            start, end = passage.characters_of(first, last)
            pieces = passage.pieces_of(start, end)
            assert pieces[0] <= first and pieces[1] >= last  # pieces of one character share its place
            assert passage.characters_of(*pieces) == (start, end)
            grown = passage.pieces_of(start, max(start + 1, end - 1))
            assert passage.characters_of(*grown)[0] == start and passage.characters_of(*grown)[1] <= end


def test_random_answers_are_recovered_from_every_window_that_holds_them(letters):
    rng = np.random.default_rng(5)
    windows = letters.replace(window_length=40, stride=11)
    seen = 0
    for order in ("question_first", "passage_first"):
        windows = windows.replace(input_order=order)
        for _ in range(20):
            text = " ".join(rng.permutation(HARD))
            passage, (question, _) = windows.passages([text])[0], windows.questions(["who (is) it?"])[0]
            rows = windows.split(question, passage)
            for first in rng.integers(0, len(passage.starts), 12):
                last = min(first + int(rng.integers(0, 9)), len(passage.starts) - 1)
                start, end = passage.characters_of(first, last)
                span = passage.pieces_of(start, end)
                positions = [(row, row.positions_of(*span)) for row in rows]
                held = [(row, position) for row, position in positions if position is not None]
                assert held
                for row, (a, b) in held:
                    found = passage.characters_of(a - row.offset + row.begin, b - row.offset + row.begin)
                    assert text[slice(*found)] == text[start:end]
                    seen += 1
    assert seen > 500


def test_a_word_too_long_for_the_vocabulary_is_one_unknown_piece_with_its_place(letters):
    passage = letters.passages([HARD[8]])[0]
    assert passage.token_ids.tolist()[1] == letters.tokenizer.unk_token_id
    assert [passage.characters_of(i, i) for i in range(3)] == [(0, 1), (2, 302), (303, 304)]


@pytest.mark.parametrize("kept", [False, True])
def test_special_pieces_in_a_context_are_special_only_on_request(letters, kept):
    text = "a [SEP] b [MASK]"
    ids = letters.replace(special_tokens_in_text=kept).passages([text])[0].token_ids.tolist()
    assert (SEP in ids, 4 in ids, len(ids)) == ((True, True, 4) if kept else (False, False, 13))
    question = letters.replace(special_tokens_in_text=kept).questions(["a [SEP]"])[0][0].tolist()
    assert SEP not in question  # a question's never are


@pytest.mark.parametrize("text", ["", " \n\u00a0", "\x00\x07\x1b", "\u200b\ufeff"])
def test_texts_without_words_are_rejected_by_number(letters, text):
    with pytest.raises(InputError, match=r"Context 1 has no words\. Expected: text\. Received: "):
        letters.passages(["a", text])
    with pytest.raises(InputError, match=r"Question 2 has no words\. Expected: text\. Received: "):
        letters.questions(["a", "b", text])
    with pytest.raises(InputError, match="Context 17 has no words"):
        letters.passages([text], [17])
    with pytest.raises(InputError, match="Question 18 has no words"):
        letters.questions(["a", text], [3, 18])


def test_a_context_of_unknown_words_alone_is_rejected_and_shown_shortened(letters):
    with pytest.raises(
        InputError, match=r"Context 0 has no word that the vocabulary can spell.*\(100,000 characters\)"
    ):
        letters.passages(["x" * 100_000])
    with pytest.raises(InputError) as caught:
        letters.passages(["ж" * 61])
    assert repr("ж" * 60) in str(caught.value) and "ж" * 61 not in str(caught.value)
    assert len(letters.passages(["ж a"])[0].token_ids) == 2
    assert letters.questions(["ж"])[0][0].tolist() == [
        letters.tokenizer.unk_token_id
    ]  # a strange name may be asked for


@pytest.mark.parametrize("kept", [False, True])
def test_readable_texts_are_those_that_passages_takes(make_windows, kept):
    windows, readable = make_windows(special_tokens_in_text=kept), []
    texts = ["w1 w2", "[SEP]", "", "\u00df", "\u00df w1"]
    for text in texts:
        try:
            readable.append(bool(windows.passages([text])))
        except InputError:
            readable.append(False)
    assert windows.are_readable(texts) == readable == [True, kept, False, False, True]


def test_other_settings_replace_the_old_ones_and_none_keeps_them(make_windows):
    windows = make_windows(
        window_length=90,
        stride=7,
        max_question_pieces=11,
        input_order="passage_first",
        special_tokens_in_text=True,
        num_segments=1,
    )
    same = windows.replace(stride=None, max_question_pieces=None)
    assert vars(same) == vars(windows) and same is not windows
    other = windows.replace(stride=5, special_tokens_in_text=False)
    assert vars(other) == vars(windows) | {"stride": 5, "special_tokens_in_text": False}
    assert other.tokenizer is windows.tokenizer


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"input_order": "question"}, "input_order='question'"),
        ({"stride": 0}, "stride=0"),
        ({"max_question_pieces": 0}, "max_question_pieces=0"),
        ({"window_length": 4}, "window_length=4"),
    ],
)
def test_settings_that_leave_no_room_are_rejected(make_windows, settings, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        make_windows(**settings)
    with pytest.raises(ValueError, match=message):
        make_windows().replace(**settings)
