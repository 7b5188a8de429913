"""Tests of the printed tables: cost, scores and examples."""

import dataclasses

import numpy as np

from spanbert_keras.pretraining.report import DAY, print_cost, print_examples, print_scores
from spanbert_keras.pretraining.span_examples import SpanExample
from spanbert_keras.training.monitoring.flops import Shape, step_flops

SHAPE = Shape(
    vocabulary_size=64,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=64,
    sequence_length=24,
    predictions=5,
    batch_rows=4,
)


def lines_of(capsys):
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in capsys.readouterr().out.splitlines()]


def test_the_cost_names_parameters_tokens_epochs_arithmetic_memory_days_and_shapes(capsys):
    batch = {"token_ids": np.zeros((4, 24), np.int32), "mask_weights": np.zeros((4, 5), np.float32)}
    print_cost(
        SHAPE,
        {"encoder": 12_345, "heads": 678},
        batch,
        steps=1000,
        rows_per_epoch=80,
        padding_share=0.0312,
        memory={"state": 2.0**30, "in all": 2.5 * 2**30},
        tokens_per_second=96_000 / DAY,
    )
    lines = lines_of(capsys)
    assert "parameters, encoder 12,345" in lines
    assert "tokens per step 96 (4 rows of 24)" in lines
    assert "masked tokens per row, at most 5" in lines
    assert "padding 3.12 %" in lines
    assert "epochs 50.00 (1,000 steps)" in lines
    assert f"arithmetic {step_flops(SHAPE):.3g} FLOP per step, {step_flops(SHAPE) * 1000:.3g} in all" in lines
    assert any(line.startswith("at 1 tokens/s 0.97 days") for line in lines)
    assert "memory, state (estimate) 1.00 GiB" in lines and "memory, in all (estimate) 2.50 GiB" in lines
    assert "batch, token_ids int32 (4, 24)" in lines
    assert "batch, mask_weights float32 (4, 5)" in lines


def test_the_cost_counts_pairs_if_there_are_any(capsys):
    settings = {"steps": 10, "rows_per_epoch": 4, "padding_share": 0.0, "memory": {}}
    for pairs in (0, 3):
        shape = dataclasses.replace(SHAPE, pairs=pairs)
        print_cost(shape, {}, {}, tokens_per_second=None, **settings)
        lines = lines_of(capsys)
        assert ("pairs of segments per row, at most 3" in lines) == bool(pairs)
        assert f"arithmetic {step_flops(shape):.3g} FLOP per step, {step_flops(shape) * 10:.3g} in all" in lines
    assert step_flops(shape) - step_flops(SHAPE) == 3 * 4 * 3 * (2 * 16 * 16 + 4 * 16)


def test_without_a_rate_no_days_are_printed(capsys):
    print_cost(
        SHAPE,
        {"encoder": 1},
        {},
        steps=1,
        rows_per_epoch=1,
        padding_share=0.0,
        memory={},
        tokens_per_second=None,
    )
    assert not any("days" in line for line in lines_of(capsys))


def test_scores_are_a_table_by_scheme_and_kind(capsys):
    summary = {
        "masked_lm/loss": 2.0,
        "masked_lm/accuracy": 0.5,
        "masked_lm/unigram_loss": 3.25,
        "span_boundary/loss": 2.5,
        "span_boundary/accuracy": 0.25,
        "masked_lm/loss_masked": 2.125,
        "masked_lm/accuracy_masked": 0.4,
        "masked_lm/unigram_loss_masked": 3.0,
    }
    print_scores({"span": summary})
    lines = lines_of(capsys)
    assert "span all 3.250 2.000 50.0 2.500 25.0" in lines
    assert "span masked 3.000 2.125 40.0 - -" in lines
    assert not any("kept" in line for line in lines) and not any("majority" in line for line in lines)


def test_scores_of_pairs_are_a_second_table_with_their_baseline(capsys):
    scores = {"loss": 0.625, "accuracy": 0.75, "random_share": 0.375, "majority_accuracy": 0.625}
    print_scores({"span": {f"next_sentence/{name}": value for name, value in scores.items()}, "span_1seq": {}})
    lines = lines_of(capsys)
    assert "masked by random majority acc. NSP loss NSP acc." in lines
    assert "span 37.5 62.5 0.625 75.0" in lines and not any("span_1seq" in line for line in lines)


def test_examples_are_printed_unchanged(capsys):
    print_examples([SpanExample("see [1] and", "[/bold] end ...", "the truth", "a guess", "the truth")])
    text = " ".join(lines_of(capsys))
    for part in ("see [1] and", "[the truth]", "[/bold] end", "a guess"):
        assert part in text
