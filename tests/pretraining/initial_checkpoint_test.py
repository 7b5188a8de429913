"""Tests of continued pre-training: a run begins with the weights of a given model."""

import keras
import numpy as np
import pytest
from absl import logging

from spanbert_keras import SpanBertEncoder, SpanBertPretrainer, pretrain, program
from spanbert_keras.errors import InputError
from spanbert_keras.pretraining.initial_checkpoint import InitialCheckpoint
from spanbert_keras.pretraining.run import PretrainingRun
from spanbert_keras.training.run.run_process import RunProcess


@pytest.fixture
def tokenizer(toy_shards):
    """That of the prepared corpus."""
    from spanbert_keras import SpanBertTokenizer

    return SpanBertTokenizer(toy_shards / "vocab.txt")


@pytest.fixture
def make_source(tokenizer, randomize, tmp_path):
    """Function that writes a small model full of noise and returns (its path, it)."""

    def make(heads=True, positions=64, segments=2, **settings):
        sizes = {"max_sequence_length": positions, "num_segments": segments}
        encoder = SpanBertEncoder(150, 1, 2, 16, 24, **sizes, tokenizer=tokenizer)
        model = SpanBertPretrainer(encoder, 6, 7, **settings) if heads else encoder
        randomize(model)
        model.save(tmp_path / "source.keras")
        return tmp_path / "source.keras", model

    return make


@pytest.fixture
def logged(monkeypatch):
    """List of what was logged."""
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *values: lines.append(text % values))
    return lines


@pytest.fixture
def flags(toy_flags, toy_shards, tmp_path):
    """Function that returns the flags of a toy run without sizes, with more."""
    sizes = ("--architecture", "--num_layers", "--hidden_dim", "--num_heads", "--position_dim")
    plain = [flag for flag in toy_flags if not flag.startswith(sizes)]
    return lambda *more: [*plain, f"--corpus={toy_shards}", f"--output_dir={tmp_path / 'run'}", *more]


@pytest.fixture
def make_run(flags):
    """Function that makes a `PretrainingRun` with more flags."""

    def make(*more):
        config = program.parse(pretrain.Config, flags(*more))
        return PretrainingRun(config, RunProcess(config.output_dir))

    return make


def values(model):
    return {w.path: np.array(keras.ops.convert_to_numpy(w.value)) for w in model.weights if "seed" not in w.path}


def test_a_run_begins_with_the_weights_and_sizes_of_its_source(make_source, make_run, logged):
    path, source = make_source()
    run = make_run(f"--init_checkpoint={path}", "--dropout=0.3", "--sbo_weight=0.5")
    theirs, ours = values(source), values(run.model)
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        expected = value[:32] if name.endswith("input_embedding/position_embeddings") else value
        np.testing.assert_array_equal(ours[name], expected)
    assert run.model.encoder.dropout == 0.3 and run.model.sbo_weight == 0.5
    # The table of the source's head has six rows: masks are made for it.
    assert run.data.train.masker.settings.max_span_positions == 6 == run.model.max_span_positions
    assert any("first 32 of 64 rows" in line for line in logged) and any("randomly: none" in line for line in logged)


def test_missing_heads_are_initialised_randomly_and_logged(make_source, make_run, logged):
    path, source = make_source(heads=False)
    run = make_run(f"--init_checkpoint={path}")
    ours = values(run.model)
    np.testing.assert_array_equal(ours["block_0/output/kernel"], values(source)["block_0/output/kernel"])
    assert not ours["masked_lm_head/vocabulary_bias"].any()
    assert any("heads initialised randomly: masked_lm, span_boundary" in line for line in logged)


def make_pairs_model(run, nsp_weight):
    """Returns the model of a run that trains next-sentence prediction with this weight, 0 for none."""
    return run.initial.make_model(nsp_weight)


@pytest.mark.parametrize("known", [False, True])
def test_the_next_sentence_head_is_the_sources_or_random_which_is_logged(make_source, make_run, logged, known):
    path, source = make_source(next_sentence=known)
    run = make_run(f"--init_checkpoint={path}")
    logged.clear()
    model = make_pairs_model(run, 0.25)
    assert model.next_sentence and model.nsp_weight == 0.25
    ours, theirs = values(model), values(source)
    for name in ("pooler_dense/kernel", "pooler_dense/bias", "classifier/kernel", "classifier/bias"):
        found = ours[f"next_sentence_head/{name}"]
        if known:
            np.testing.assert_array_equal(found, theirs[f"next_sentence_head/{name}"])
        else:
            assert found.any() != name.endswith("bias")
    [line] = logged
    assert line.endswith(f"heads initialised randomly: {'none' if known else 'next_sentence'}.")


def test_a_next_sentence_head_that_is_not_trained_is_left_out_and_logged(make_source, make_run, logged):
    path, source = make_source(next_sentence=True)
    model = make_pairs_model(make_run(f"--init_checkpoint={path}"), 0.0)
    assert not model.next_sentence and set(model.output) == {"masked_lm", "span_boundary"}
    np.testing.assert_array_equal(
        values(model)["masked_lm_head/dense/kernel"], values(source)["masked_lm_head/dense/kernel"]
    )
    assert logged[-2].endswith("heads initialised randomly: none.")
    assert logged[-1] == f"The next-sentence head of {path} is left out: rows have no pairs."


@pytest.mark.parametrize("segments, fits", [(2, True), (1, False)])
def test_two_segments_need_an_encoder_that_knows_two(make_source, flags, segments, fits):
    path, _ = make_source(segments=segments)
    config = program.parse(pretrain.Config, flags(f"--init_checkpoint={path}"))
    object.__setattr__(config, "segments", 2)
    if fits:
        InitialCheckpoint(config)
    else:
        with pytest.raises(
            InputError, match="--segments or --eval_segments=2 does not fit --init_checkpoint=.* Received: one with 1."
        ):
            InitialCheckpoint(config)


def losses_logged(folder):
    """Returns the masked-LM losses that TensorBoard shows."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    return [
        float(make_ndarray(value.tensor))
        for path in sorted(folder.iterdir())
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag == "masked_lm/loss"
    ]


def test_the_first_loss_is_that_of_the_source(make_source, make_run, to_numpy, tmp_path):
    path, source = make_source(positions=32)
    run = make_run(
        f"--init_checkpoint={path}",
        "--steps=1",
        "--warmup_steps=0",
        "--log_every=1",
        "--dropout=0",
        "--attention_dropout=0",
    )
    batch = run.data.train.batch(0)
    logits = to_numpy(source({key: batch[key] for key in source.input_keys})["masked_lm"])
    shifted = logits - logits.max(-1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(-1)) - np.take_along_axis(shifted, batch["mask_ids"][..., None], -1)[..., 0]
    expected = (losses * batch["mask_weights"]).sum() / batch["mask_weights"].sum()
    assert abs(expected - np.log(150)) > 0.3  # not that of a fresh head
    run.train()
    assert losses_logged(tmp_path / "run" / "train") == pytest.approx([expected], rel=1e-4)


def test_only_the_heads_are_trained_first(make_source, make_run, tmp_path):
    path, source = make_source(positions=32)
    before = values(source)
    heads = {name for name in before if name.startswith(("masked_lm_head", "span_boundary_head"))}
    for steps in (3, 4):
        run = make_run(
            f"--init_checkpoint={path}",
            "--head_warmup_steps=3",
            f"--steps={steps}",
            "--warmup_steps=0",
            "--decay=none",
            "--evaluate_every=0",
            f"--output_dir={tmp_path / f'run{steps}'}",
        )
        run.train()
        moved = {name for name, value in values(run.model).items() if (value != before[name]).any()}
        assert heads <= moved
        assert (moved == heads) == (steps == 3)


def test_text_of_another_vocabulary_is_rejected(make_source, make_run, toy_text):
    path, _ = make_source()
    with pytest.raises(InputError, match=r"another vocabulary \(150 pieces, uncased\) than --init_checkpoint"):
        make_run(f"--init_checkpoint={path}", f"--corpus={toy_text}", "--train_vocabulary=150", "--lowercase")


def test_lowercase_is_rejected_if_the_source_keeps_case(make_source, make_run, toy_text, tokenizer):
    path, _ = make_source()
    assert not tokenizer.lowercase
    with pytest.raises(InputError, match=r"--lowercase does not fit --init_checkpoint=.*keeps case"):
        make_run(f"--init_checkpoint={path}", f"--corpus={toy_text}", "--lowercase")


def test_raw_text_is_prepared_with_the_sources_vocabulary(make_source, make_run, toy_text, tokenizer):
    path, _ = make_source()
    run = make_run(f"--init_checkpoint={path}", f"--corpus={toy_text}")
    assert run.data.tokenizer.get_vocabulary() == tokenizer.get_vocabulary()
    assert run.data.corpora.shards[0].directory != path


def test_a_damaged_copy_of_the_vocabulary_is_written_again(make_source, make_run, toy_text, tokenizer, tmp_path):
    path, _ = make_source()
    flags = [f"--init_checkpoint={path}", f"--corpus={toy_text}", f"--cache_dir={tmp_path / 'cache'}"]
    make_run(*flags)
    [copy] = (tmp_path / "cache" / "vocabularies").iterdir()
    expected = copy.read_text()
    copy.write_text(expected.replace("w1\n", "x1\n"))
    assert make_run(*flags).data.tokenizer.get_vocabulary() == tokenizer.get_vocabulary()
    assert copy.read_text() == expected


def test_raw_text_is_cut_as_the_sources_tokenizer_cuts_it(make_run, tokenizer, toy_text, tmp_path):
    settings = {"strip_accents": True, "added_tokens": [{"content": "[E1]", "special": True}]}
    other = type(tokenizer)(tokenizer.get_vocabulary(), **settings)
    encoder = SpanBertEncoder(151, 1, 2, 16, 24, max_sequence_length=64, tokenizer=other)
    encoder.save(tmp_path / "source.keras")
    corpora = f"--corpus={toy_text}:0.5,{_copy(toy_text, tmp_path)}:0.5"
    run = make_run(f"--init_checkpoint={tmp_path / 'source.keras'}", corpora)
    assert run.data.tokenizer.fingerprint() == other.fingerprint() and run.data.tokenizer("é[E1]")[-1] == 150
    assert len(run.data.corpora.shards) == 2


def _copy(path, folder):
    """Returns the path of another text, in another file."""
    text = path.read_text(encoding="utf-8")
    (folder / "other.txt").write_text(text[: len(text) // 2], encoding="utf-8")
    return folder / "other.txt"


def test_other_sizes_are_rejected(make_source, flags):
    path, _ = make_source()
    config = program.parse(pretrain.Config, flags(f"--init_checkpoint={path}", "--num_layers=3"))
    with pytest.raises(InputError, match="--num_layers cannot be given with --init_checkpoint"):
        InitialCheckpoint(config)
