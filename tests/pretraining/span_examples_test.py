"""Tests of the examples: the span, its context and the predictions of both heads."""

import keras
import numpy as np
import pytest

from spanbert_keras.pretraining.span_examples import SpanExample, as_markdown, span_examples


def predictions(batch):
    """The masked LM says w0 everywhere, the span boundary head says the truth."""
    return {"mlm_best": np.full_like(batch["mask_ids"], 5), "sbo_best": batch["mask_ids"]}


@pytest.fixture
def found(batch, toy_tokenizer):
    return span_examples(predictions(batch), batch, toy_tokenizer, count=100)


def test_examples_are_spans_that_were_replaced_by_mask(batch, toy_tokenizer, found):
    assert found
    originals = batch["token_ids"].copy()
    for row, column in zip(*np.nonzero(batch["mask_weights"]), strict=True):
        originals[row, batch["mask_positions"][row, column]] = batch["mask_ids"][row, column]
    blocks = [
        toy_tokenizer.detokenize(originals[r][batch["padding_mask"][r] == j][1:-1].tolist())
        for r in range(len(originals))
        for j in range(1, batch["padding_mask"][r].max() + 1)
    ]
    for example in found:
        text = f"{example.before.removeprefix('... ')} {example.truth} {example.after.removesuffix(' ...')}".strip()
        assert any(text.replace(" ", "") in block.replace(" ", "").replace("##", "") for block in blocks), text
        assert "[CLS]" not in text and "[SEP]" not in text and "[MASK]" not in text and "[PAD]" not in text
        assert example.span_boundary == example.truth
        assert set(example.masked_lm.split()) == {"w0"}


def test_a_block_gives_at_most_one_example_and_the_count_is_kept(batch, toy_tokenizer, found):
    assert len(found) <= batch["padding_mask"].max(1).sum()
    assert len(span_examples(predictions(batch), batch, toy_tokenizer, count=2)) == 2
    assert span_examples(predictions(batch), batch, toy_tokenizer, count=0) == []


def test_long_spans_are_left_out(batch, toy_tokenizer):
    short = span_examples(predictions(batch), batch, toy_tokenizer, count=100, longest=1)
    assert all(len(example.masked_lm.split()) == 1 for example in short)


def test_a_batch_of_padding_gives_no_example(batch, toy_tokenizer):
    empty = {name: np.zeros_like(value) for name, value in batch.items()}
    assert span_examples(predictions(empty), empty, toy_tokenizer, count=5) == []


def test_the_predictions_of_a_step_give_examples(batch, toy_tokenizer, make_training_step):
    step = make_training_step()
    results = step.to_numpy(step.evaluate(batch))
    outputs = step.model({key: batch[key] for key in step.model.input_keys}, training=False)
    best = np.asarray(keras.ops.convert_to_numpy(outputs["masked_lm"])).argmax(-1)
    np.testing.assert_array_equal(results["mlm_best"], best)
    assert len(span_examples(results, batch, toy_tokenizer, count=3)) == 3


def test_the_markdown_table_has_one_row_per_example():
    examples = [SpanExample("", "of a | pipe ...", "truth", "", "boundary"), SpanExample("... x", "", "y", "y", "z")]
    lines = as_markdown(examples).split("\n")
    assert len(lines) == 4
    assert lines[2] == "| **[truth]** of a \\| pipe ... | (nothing) | boundary | truth |"
    assert lines[3] == "| ... x **[y]** | y | z | y |"
