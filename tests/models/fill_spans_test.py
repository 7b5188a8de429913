"""Filling spans: against the pretrainer's own logits."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras.models.fill_spans import FilledText, fill_spans, masked_runs, span_inputs

TEXT = "a b [MASK] [MASK] c ab [MASK] ."


def by_hand(pretrainer, to_numpy, inputs):
    """Returns each head's best ordinary ids and their log probabilities over ordinary pieces, (M,) each."""
    best = {}
    for head, logits in to_numpy(pretrainer(inputs)).items():
        allowed = [i for i in range(logits.shape[-1]) if i not in (0, 2, 3, 4)]  # neither [PAD], [CLS], [SEP], [MASK]
        chosen, scores = [], []
        for row in logits[0]:
            probabilities = np.exp(row[allowed] - row[allowed].max())
            probabilities /= probabilities.sum()
            chosen.append(allowed[probabilities.argmax()])
            scores.append(np.log(probabilities.max()))
        best[head] = (chosen, scores)
    return best


@pytest.mark.parametrize(
    "bits, runs",
    [([0, 1, 1, 0, 1, 0], [(1, 2), (4, 4)]), ([0, 0], []), ([1, 1], [(0, 1)]), ([1, 0, 1, 1], [(0, 0), (2, 3)])],
)
def test_runs_are_maximal_and_inclusive(bits, runs):
    assert masked_runs(np.array(bits, bool)) == runs


def test_a_spans_inputs_are_its_observed_neighbours_and_offsets():
    inputs = span_inputs([([2, 4, 4, 9, 4, 3], [(1, 2), (4, 4)])])
    expected = {
        "token_ids": [[2, 4, 4, 9, 4, 3]],
        "segment_ids": [[0] * 6],
        "padding_mask": [[1] * 6],
        "mask_positions": [[1, 2, 4]],
        "left_positions": [[0, 0, 3]],
        "right_positions": [[3, 3, 5]],
        "span_offsets": [[0, 1, 0]],
        "pair_positions": [[0]],
    }
    assert {key: value.tolist() for key, value in inputs.items()} == expected
    assert {value.dtype for value in inputs.values()} == {np.dtype("int32")}


def test_the_text_is_filled_by_the_masked_lm_head_and_both_heads_are_reported(make_pretrainer, tokenizer, to_numpy):
    pretrainer = make_pretrainer()
    ids = [2, *tokenizer.tokenize(TEXT, special_tokens_in_text=True), 3]
    assert [i for i, piece in enumerate(ids) if piece == 4] == [3, 4, 8]  # "ab" is two pieces, "." is [UNK]
    best = by_hand(pretrainer, to_numpy, span_inputs([(ids, [(3, 4), (8, 8)])]))
    filled = fill_spans(pretrainer, TEXT)
    assert isinstance(filled, FilledText) and isinstance(filled, str)
    chosen, scores = best["masked_lm"]
    ids[3:5], ids[8] = chosen[:2], chosen[2]
    assert filled == tokenizer.detokenize(ids[1:-1])
    assert [(span.start, span.end) for span in filled.spans] == [(3, 4), (8, 8)]
    for span, part in zip(filled.spans, (slice(0, 2), slice(2, 3)), strict=True):
        for head in ("masked_lm", "span_boundary"):
            chosen, scores = best[head]
            assert getattr(span, head) == tokenizer.detokenize(chosen[part])
            assert getattr(span, f"{head}_score") == pytest.approx(np.mean(scores[part]), abs=1e-5)


def test_rows_are_padded_to_one_length_and_number_of_masks_and_the_last_is_repeated():
    rows = [([2, 9, 4, 3], [(2, 2)]), ([2, 4, 4, 9, 4, 3], [(1, 2), (4, 4)])]
    inputs = span_inputs(rows, 3, 8, 4)
    assert inputs["token_ids"].tolist() == [[2, 9, 4, 3, 0, 0, 0, 0], *[[2, 4, 4, 9, 4, 3, 0, 0]] * 2]
    assert inputs["padding_mask"].tolist() == [[1] * 4 + [0] * 4, *[[1] * 6 + [0] * 2] * 2]
    assert inputs["mask_positions"].tolist() == [[2, 0, 0, 0], *[[1, 2, 4, 0]] * 2]
    assert inputs["pair_positions"].shape == (3, 1)


def test_texts_of_many_lengths_are_computed_together_and_filled_as_alone(make_pretrainer, monkeypatch):
    pretrainer, shapes = make_pretrainer(), []
    texts = [" ".join(["a"] * before + ["[MASK]"] * (1 + before % 3) + ["b"]) for before in range(14)]
    alone = [fill_spans(pretrainer, text) for text in texts]
    compute = pretrainer.compute_rows
    monkeypatch.setattr(pretrainer, "compute_rows", lambda x: shapes.append(x["token_ids"].shape) or compute(x))
    found = fill_spans(pretrainer, texts)
    assert found == alone and 1 < len(shapes) < len(texts) / 2
    for one, other in zip(found, alone, strict=True):
        for span, expected in zip(one.spans, other.spans, strict=True):
            assert dataclasses.replace(span, masked_lm_score=0, span_boundary_score=0) == dataclasses.replace(
                expected, masked_lm_score=0, span_boundary_score=0
            )
            assert span.masked_lm_score == pytest.approx(expected.masked_lm_score, abs=1e-5)
            assert span.span_boundary_score == pytest.approx(expected.span_boundary_score, abs=1e-5)


def test_a_model_with_a_next_sentence_head_fills_the_same(make_pretrainer):
    plain, with_pairs = make_pretrainer(), make_pretrainer(next_sentence=True)
    for name in ("encoder", "masked_lm_head", "span_boundary_head"):
        getattr(with_pairs, name).set_weights(getattr(plain, name).get_weights())
    one, other = fill_spans(plain, TEXT), fill_spans(with_pairs, TEXT)
    assert one == other and one.spans == other.spans


def test_special_pieces_are_never_filled_in(make_pretrainer):
    pretrainer = make_pretrainer()
    bias = np.zeros(21, "float32")
    bias[[0, 2, 3, 4]], bias[7] = 1000.0, 100.0
    pretrainer.masked_lm_head.vocabulary_bias.assign(bias)
    filled = pretrainer.fill_spans("a [MASK] b")
    assert filled == "a c b" and filled.spans[0].masked_lm == "c"
    assert filled.spans[0].masked_lm_score == pytest.approx(0.0, abs=1e-6)


def test_a_text_without_mask_is_rejected(make_pretrainer):
    with pytest.raises(ValueError, match=r"at least one literal \[MASK\] in the text. Received: 'a b'"):
        make_pretrainer().fill_spans("a b")


def test_a_text_past_the_encoders_length_is_rejected(make_pretrainer):
    with pytest.raises(ValueError, match="Expected at most 32 pieces .* Received: 33"):
        make_pretrainer().fill_spans("[MASK]" + " a" * 30)
    assert len(make_pretrainer().fill_spans("[MASK]" + " a" * 29).spans) == 1
