"""Tests of one run's parts: what its flags make of corpus, model, held-out sets and record."""

import json
import shutil

import keras
import numpy as np
import pytest

from spanbert_keras import pretrain, program
from spanbert_keras.errors import InputError
from spanbert_keras.files.checkpoint_files import read, read_manifest
from spanbert_keras.files.json_files import read_json
from spanbert_keras.pretraining import run as run_module
from spanbert_keras.pretraining.held_out_evaluator import HeldOutEvaluator
from spanbert_keras.pretraining.monitor import data_totals, work_of
from spanbert_keras.pretraining.run import BEST_BY, PretrainingRun
from spanbert_keras.training.backend import make_step
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.distributed.worker_watch import WorkerWatch
from spanbert_keras.training.monitoring.flops import model_flops, step_flops
from spanbert_keras.training.run.run_process import RunProcess


@pytest.fixture(autouse=True)
def plain_policy():
    """A run sets the dtype policy of the process: puts it back."""
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture
def make_run(toy_shards, toy_flags, tmp_path):
    """Function that makes a `PretrainingRun` of the toy corpus with more flags."""

    def make(*flags, distribution=None):
        given = [*toy_flags, f"--corpus={toy_shards}", f"--output_dir={tmp_path / 'run'}", *flags]
        config = program.parse(pretrain.Config, given)
        process = RunProcess(config.output_dir)
        if distribution:
            process.distribution = distribution
            process.watch = WorkerWatch(tmp_path / "workers", distribution.worker, distribution.num_workers)
        return PretrainingRun(config, process)

    return make


def weights_of(run):
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in run.model.trainable_variables]


def test_flags_shape_the_model(make_run):
    run = make_run("--hidden_dim=24", "--num_heads=3", "--max_span_positions=5", "--position_dim=7", "--dropout=0.2")
    encoder = run.model.encoder
    assert (encoder.num_layers, encoder.hidden_dim, encoder.num_heads, encoder.intermediate_dim) == (1, 24, 3, 96)
    assert (encoder.dropout, encoder.attention_dropout, encoder.max_sequence_length) == (0.2, 0.1, 32)
    assert (run.model.max_span_positions, run.model.position_dim) == (5, 7)
    assert encoder.vocabulary_size == 150 == encoder.tokenizer.vocabulary_size()
    assert run.data.train.masker.settings.max_span_positions == 5


def test_flags_choose_what_is_kept_for_the_gradient(make_run):
    blocks = make_run("--recompute=blocks", "--attention=reference").model.encoder.blocks
    assert {(block.recompute, block.attention.attention) for block in blocks} == {("blocks", "reference")}


def test_the_memory_follows_the_flags(make_run):
    def activations(*flags):
        return make_run(*flags)._memory(0)["activations"]

    whole = activations()
    assert activations("--accumulation_steps=2") == whole / 2
    assert activations("--attention=reference") > whole > activations("--precision=mixed_bfloat16")
    if keras.backend.backend() != "jax":
        assert activations("--sbo_weight=0", "--recompute=blocks", "--num_layers=2") < activations("--num_layers=2")
    assert set(make_run()._memory(0)) == {"state", "activations", "program", "in all"}


def test_the_seed_makes_weights_and_order(make_run):
    one, same, other = make_run("--seed=3"), make_run("--seed=3"), make_run("--seed=4")
    assert all((a == b).all() for a, b in zip(weights_of(one), weights_of(same), strict=True))
    assert any((a != b).any() for a, b in zip(weights_of(one), weights_of(other), strict=True))
    batches = [run.data.train.batch(0) for run in (one, same, other)]
    assert all((batches[0][name] == batches[1][name]).all() for name in batches[0])
    assert (batches[0]["token_ids"] != batches[2]["token_ids"]).any()


def test_precision_is_the_models(make_run):
    assert make_run("--precision=mixed_bfloat16").model.encoder.compute_dtype == "bfloat16"


def test_held_out_sets_have_the_same_rows_under_every_scheme_and_seed(make_run):
    sets = make_run("--eval_schemes=span,whole_word,subword")._held_out_sets()
    assert [held_out.name for held_out in sets] == ["span", "whole_word", "subword"]
    assert all((held_out.rows == sets[0].rows).all() for held_out in sets)
    assert len(np.unique(sets[0].rows)) == len(sets[0].rows) <= 8
    other = make_run("--seed=9", "--learning_rate=0.5")._held_out_sets()[0]
    for one, two in zip(sets[0].batches(), other.batches(), strict=True):
        assert all((one[name] == two[name]).all() for name in one)

    def originals(held_out):
        (batch, *_) = held_out.batches()
        ids = np.where(batch["mask_weights"] > 0, batch["mask_ids"], batch["token_ids"][:, :1])
        np.put_along_axis(batch["token_ids"], batch["mask_positions"], ids, axis=1)
        return batch["token_ids"]

    assert all((originals(held_out) == originals(sets[0])).all() for held_out in sets)


def test_other_weights_of_the_corpora_are_another_run(make_run, toy_shards, tmp_path, eagerly):
    run = make_run(f"--corpus={toy_shards}:0.7,{toy_shards}:0.3")
    assert run.train().status == "finished"
    facts = read_json(tmp_path / "run" / "run.json")["facts"]
    assert facts["corpus_fingerprint"].count("+") == 1
    with pytest.raises(InputError, match="corpus_weights"):
        make_run(f"--corpus={toy_shards}:0.5,{toy_shards}:0.5").train()
    assert make_run(f"--corpus={toy_shards}:7,{toy_shards}:3").train().status == "finished"


def test_a_moved_corpus_is_the_same_run(make_run, toy_shards, monkeypatch, tmp_path, eagerly):
    assert make_run().train().status == "finished"
    (tmp_path / "moved").symlink_to(toy_shards)
    starts, train = [], run_module.Trainer.run
    monkeypatch.setattr(run_module.Trainer, "run", lambda self, start: starts.append(start) or train(self, start))
    shown, resume_at = [], run_module.PretrainingMonitor.resume_at
    monkeypatch.setattr(
        run_module.PretrainingMonitor, "resume_at", lambda self, step: shown.append(step) or resume_at(self, step)
    )
    assert make_run(f"--corpus={tmp_path / 'moved'}", "--log_every=1").train().status == "finished"
    assert starts == shown == [6]  # TensorBoard keeps the points before


def test_a_run_describes_its_model_beside_its_checkpoints_also_when_an_earlier_version_began_it(
    make_run, tmp_path, eagerly
):
    run = make_run("--sbo_weight=0.5", "--dropout=0.2")
    assert run.train().status == "finished"
    record = read_json(tmp_path / "run" / "run.json")
    architecture, head = (record["model"][name] for name in ("architecture", "head_settings"))
    assert (architecture["num_heads"], architecture["dropout"], head["sbo_weight"]) == (2, 0.2, 0.5)
    vocabulary = (tmp_path / "run" / "vocab.txt").read_text().splitlines()
    assert vocabulary == run.data.tokenizer.get_vocabulary()
    earlier = {name: value for name, value in record.items() if name not in ("model", "updated")}
    (tmp_path / "run" / "run.json").write_text(json.dumps(earlier))
    (tmp_path / "run" / "vocab.txt").unlink()
    make_run("--sbo_weight=0.5", "--dropout=0.2").train()
    assert read_json(tmp_path / "run" / "run.json")["model"] == record["model"]
    assert (tmp_path / "run" / "vocab.txt").read_text().splitlines() == vocabulary


def test_encoders_are_written_during_training(make_run, tmp_path):
    run = make_run("--encoder_every=4")
    assert run.train().status == "finished"
    assert (tmp_path / "run" / "encoder.keras").is_file()
    assert not (tmp_path / "run" / "pretrainer.keras").exists()  # `finish` writes it


def test_the_cost_counts_all_parameters_once(make_run, capsys):
    run = make_run()
    run.print_cost()
    out = capsys.readouterr().out.replace(",", "")
    in_encoder = run.model.encoder.count_params()
    assert str(in_encoder) in out and str(run.model.count_params() - in_encoder) in out


@pytest.mark.parametrize("replicas, parts", [(3, 1), (2, 4), (8, 1)])
def test_rows_must_divide_over_replicas_and_parts(make_run, replicas, parts):
    with pytest.raises(InputError, match=f"4 rows .* multiple of {replicas * parts}: {replicas} replicas .*={parts}"):
        make_run(f"--accumulation_steps={parts}", distribution=Distribution(local_replicas=replicas))


def test_a_worker_scores_no_more_rows_at_once_than_it_trains_on(make_run):
    run = make_run("--batch_sequences=8", "--accumulation_steps=2", distribution=Distribution(num_workers=2))
    assert [held_out.batch_rows for held_out in run._held_out_sets()] == [2]


def test_the_best_checkpoint_is_that_of_the_first_schemes_masked_pieces(make_run, monkeypatch, tmp_path, eagerly):
    run = make_run("--eval_schemes=subword,span", "--evaluate_every=2", "--checkpoint_every=100")
    scores, evaluate = {}, HeldOutEvaluator.evaluate

    def noting(self, done, boundaries=False):
        found, examples = evaluate(self, done, boundaries)
        scores[done] = found["subword"][BEST_BY]
        return found, examples

    monkeypatch.setattr(HeldOutEvaluator, "evaluate", noting)
    assert run.train().status == "finished"
    assert sorted(scores) == [2, 4, 6] and BEST_BY == "masked_lm/loss_masked"
    best = min((2, 4), key=scores.get)
    assert read_manifest(tmp_path / "run" / "checkpoints" / f"step_{best:08d}")["score"] == pytest.approx(scores[best])


def test_the_peak_is_the_flags(make_run):
    performance = make_run("--peak_tflops=2.5", distribution=Distribution(num_workers=2))._performance()
    assert (performance.peak, performance.replicas) == (2.5e12, 2)


PAIRS = ["--segments=2", "--max_sequence_length=128", "--nsp_weight=0.5", "--allow_skewed_pairs"]


def test_flags_of_pairs_shape_the_model_the_objective_and_the_cost(make_run):
    run = make_run(*PAIRS)
    assert run.model.next_sentence and run.model.nsp_weight == 0.5
    assert run._step_settings().objective.nsp_weight == 0.5
    assert run._shape(0).pairs == run.data.train.max_pairs > 1
    without = make_run(*PAIRS, "--nsp_weight=0")
    assert not without.model.next_sentence and without._shape(0).pairs == 0
    assert without._step_settings().objective.target_keys == ("mask_ids", "mask_weights", "span_weights")


@pytest.mark.parametrize("pairs", [True, False])
def test_held_out_text_is_scored_with_one_and_with_two_segments(make_run, eagerly, pairs):
    flags = ["--max_sequence_length=128", "--allow_skewed_pairs", "--eval_schemes=span,subword", "--eval_rows=4"]
    runs = [make_run(*flags, f"--segments={2 if pairs else 1}", "--eval_segments=1,2") for _ in range(2)]
    own, other = ("2", "1") if pairs else ("1", "2")
    sets = {held_out.name: held_out for held_out in runs[0]._held_out_sets()}
    assert set(sets) == {"span", "subword", f"span_{other}seq", f"subword_{other}seq"}
    single = sets["span_1seq" if pairs else "span"]
    assert all(batch["segment_ids"].max() == 0 for batch in single.batches())
    scores = runs[0].train().scores
    assert all("masked_lm/loss_masked" in of_set for of_set in scores.values())
    assert {name for name, of_set in scores.items() if "next_sentence/loss" in of_set} == (
        {"span", "subword"} if pairs else set()
    )
    alone = make_run(*flags, f"--segments={own}", f"--eval_segments={own}")._held_out_sets()
    assert [held_out.name for held_out in alone] == ["span", "subword"]


@pytest.mark.parametrize("done", [2, 4])
def test_a_run_on_pairs_in_phases_continues_bit_for_bit_and_scores_its_pairs(make_run, eagerly, tmp_path, done):
    phases = ["--phases=48:3,64:3", "--pair_copies=2", "--mask_copies=2", "--short_sequence_rate=0.1", "--packing=off"]
    flags = [*PAIRS, *phases, "--keep_every=1", "--checkpoint_every=1", "--dropout=0.1"]
    whole = make_run(*flags)
    outcome = whole.train()
    assert outcome.status == "finished" and 0 < outcome.scores["span"]["next_sentence/random_share"] < 1
    for checkpoint in (tmp_path / "run" / "checkpoints").glob("step_*"):
        if int(checkpoint.name.removeprefix("step_")) > done:
            shutil.rmtree(checkpoint)
    again = make_run(*flags)
    assert again.train().scores == outcome.scores
    for one, other in zip(weights_of(whole), weights_of(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_shown_of_a_span_boundary_head_that_is_not_trained(make_run, eagerly, tmp_path, read_events):
    outcome = make_run("--sbo_weight=0").train()
    assert not [name for name in outcome.scores["span"] if name.startswith("span_boundary")]
    assert {example.span_boundary for example in outcome.examples} == {"-"}
    tags = {tag for folder in ("train", "heldout_span") for tag in read_events(tmp_path / "run" / folder)}
    assert "masked_lm/loss" in tags and not [tag for tag in tags if tag.startswith("span_boundary")]


@pytest.mark.parametrize("flags", [["--eval_schemes=named_entity"], ["--segments=2", "--max_sequence_length=4"]])
def test_a_dry_run_finds_what_a_run_would(make_run, flags):
    with pytest.raises(InputError, match="has no finished annotation|must be at least 5"):
        make_run(*flags)


PHASES = ["--phases=16:3,32:3", "--steps=6", "--warmup_steps=1", "--max_sequence_length=32", "--weight_decay=0"]


def test_rows_of_a_later_phase_train_positions_that_rows_of_the_first_do_not(make_run, eagerly, tmp_path):
    run = make_run(*PHASES, "--keep_every=1", "--checkpoint_every=1", "--dropout=0")
    (table,) = (v for v in run.model.encoder.weights if "position_embedding" in v.path)
    start = np.array(keras.ops.convert_to_numpy(table))
    assert run.train().status == "finished"
    end = np.array(keras.ops.convert_to_numpy(table))
    values, _ = read(tmp_path / "run" / "checkpoints" / "step_00000003", 3)
    between = values[f"model/{table.path}"]
    np.testing.assert_array_equal(between[16:], start[16:])  # no gradient, and no decay
    assert (between[:16] != start[:16]).any(1).all() and (end[16:] != start[16:]).any(1).mean() > 0.5


@pytest.mark.parametrize("done", [2, 3, 4])
def test_a_run_in_phases_continues_bit_for_bit_across_their_border(make_run, eagerly, tmp_path, done):
    flags = [*PHASES, "--keep_every=1", "--checkpoint_every=1", "--steps_per_call=2", "--dropout=0.1"]
    whole = make_run(*flags)
    assert whole.train().status == "finished"
    for checkpoint in (tmp_path / "run" / "checkpoints").glob("step_*"):
        if int(checkpoint.name.removeprefix("step_")) > done:
            shutil.rmtree(checkpoint)
    again = make_run(*flags)
    assert again.train().status == "finished"
    for one, other in zip(weights_of(whole), weights_of(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_rates_count_what_is_in_the_batches_of_every_phase(make_run):
    run = make_run(*PHASES)
    performance = run._performance()
    for phase, stream in enumerate(run.data.streams):
        work = work_of(data_totals([stream.batch(0)]))
        shape = run._shape(phase)
        assert performance.flops(work) == model_flops(shape, work, True) < step_flops(shape, True)


def test_flags_shape_schedule_and_guard(make_run, eagerly):
    flags = ["--steps_per_call=3", "--checkpoint_minutes=2.5", "--on_divergence=rollback", "--spike_nats=1.5"]
    run = make_run(*flags, "--keep_every=2", "--profile_steps=4", "--steps=4")
    assert run.train().status == "finished"
    step = make_step(run.model, keras.optimizers.SGD(), run._step_settings())
    evaluator = HeldOutEvaluator(step, [], run.data, run._make_monitor(None), 0)
    trainer = run._make_trainer(step, None, (), evaluator)
    cadence = trainer.cadence
    assert (cadence.steps_per_call, cadence.checkpoint_minutes, cadence.on_divergence) == (3, 2.5, "rollback")
    assert (cadence.total_steps, cadence.log_every, cadence.profile_steps) == (4, 2, 4)
    assert trainer.guard.spike_nats == 1.5
    assert trainer.profiler.folder == run.folder / "profile"


def test_callbacks_see_every_call(make_run):
    seen = []
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    assert make_run("--steps_per_call=2", "--evaluate_every=0").train([callback]).status == "finished"
    assert seen == [1, 3, 5]


def test_workers_other_than_the_chief_write_nothing(make_run, tmp_path, eagerly):
    class Second(Distribution):
        def sum(self, values):
            return values * 2.0

    run = make_run(distribution=Second(worker=1, num_workers=2))
    outcome = run.train()
    assert outcome.status == "finished"
    run.finish(outcome)
    assert not [path for path in (tmp_path / "run").rglob("*") if "cache" not in path.parts]
