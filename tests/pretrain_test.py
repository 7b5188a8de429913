"""Tests of the training program: a whole run, Ctrl-C, --dry_run, and every kind of bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, pretrain, program
from spanbert_keras.files.folder_lock import FolderLock


@pytest.fixture(autouse=True)
def plain_policy():
    """A run sets the dtype policy of the process: puts it back."""
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def finished(toy_text, toy_flags, tmp_path_factory, root):
    """Folder and output of a run from raw text, made by the program in a process of its own."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    flags = [f"--corpus={toy_text}", "--train_vocabulary=150", "--heldout_share=0.1", f"--output_dir={folder}"]
    command = [sys.executable, "-m", "spanbert_keras.pretrain", *toy_flags, *flags, "--eval_schemes=span,subword"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def call(capsys):
    """Function that runs the program in this process; returns its exit code, what it printed, and its complaints."""

    def run(*flags):
        code = 0
        try:
            program.run(pretrain.main, pretrain.Config, list(flags))
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, [line for line in err.splitlines() if line.startswith("Error:")]

    return run


def test_a_run_from_raw_text_leaves_models_that_load(finished):
    folder, done = finished
    model = keras.saving.load_model(folder / "pretrainer.keras")
    encoder = keras.saving.load_model(folder / "encoder.keras")
    preset = SpanBertEncoder.from_preset(str(folder / "encoder_preset"))
    assert model.encoder.hidden_dim == encoder.hidden_dim == preset.hidden_dim == 16
    assert model.tokenizer.vocabulary_size() == encoder.tokenizer.vocabulary_size() == 150
    for one, other in ((model.encoder, encoder), (encoder, preset)):
        for a, b in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(a.value), keras.ops.convert_to_numpy(b.value))
    assert "[MASK]" not in model.fill_spans("bado [MASK] ki.")


def test_a_run_ends_with_scores_and_held_out_spans(finished):
    _, done = finished
    assert "Held-out scores" in done.stdout and "subword" in done.stdout
    assert "masked LM" in done.stdout and "truth" in done.stdout
    assert "step 6/6" in done.stderr and "Traceback" not in done.stderr


def test_a_run_has_a_record(finished, toy_text):
    folder, _ = finished
    record = json.loads((folder / "run.json").read_text())
    assert record["flags"]["corpus"] == str(toy_text) and record["flags"]["steps"] == 6
    assert set(record["flags"]) == set(pretrain.Config.__dataclass_fields__)
    assert record["versions"]["backend"] == keras.backend.backend()
    assert len(record["facts"]["corpus_fingerprint"]) >= 16
    assert record["finished_steps"] == 6
    for scheme in ("span", "subword"):
        assert record["scores"][scheme]["masked_lm/loss"] > 0
        assert record["scores"][scheme]["masked_lm/unigram_loss"] > 0
    assert "span_boundary/loss_other_boundaries" in record["scores"]["span"]
    assert [p.name for p in sorted((folder / "checkpoints").iterdir())] == [
        "step_00000003",  # the best
        "step_00000004",
        "step_00000006",
    ]


def test_tensorboard_has_the_curves(finished):
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    folder, _ = finished
    steps = {}
    for name in ("train", "heldout_span", "heldout_subword"):
        found = EventAccumulator(str(folder / name), size_guidance={"tensors": 0})
        found.Reload()
        steps[name] = {tag: [event.step for event in found.Tensors(tag)] for tag in found.Tags()["tensors"]}
    assert steps["train"]["masked_lm/loss"] == [2, 4, 6]
    assert steps["train"]["performance/checkpoint_seconds"] == [3, 4, 6]
    assert steps["heldout_span"]["masked_lm/loss"] == [3, 6]
    assert steps["heldout_subword"]["masked_lm/unigram_loss"] == [3, 6]
    assert steps["heldout_span"]["predicted_spans"] == [3, 6]
    assert {"optimization/learning_rate", "data/padding_share", "data/span_lengths"} <= set(steps["train"])


def test_the_same_command_finds_a_finished_run_done(finished, toy_text, toy_flags, call, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    before = (folder / "checkpoints" / "step_00000006" / "state.safetensors").read_bytes()
    flags = [f"--corpus={toy_text}", "--train_vocabulary=150", "--heldout_share=0.1", f"--output_dir={folder}"]
    code, out, _ = call(*toy_flags, *flags, "--eval_schemes=span,subword")
    assert code == 0 and "Held-out scores" in out
    assert (folder / "checkpoints" / "step_00000006" / "state.safetensors").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, code, more", [("SIGINT", 130, []), ("SIGTERM", 81, ["--preemption_exit_code=81", "--steps_per_call=2"])]
)
def test_a_signal_writes_a_checkpoint_and_the_same_command_continues_bit_for_bit(
    toy_shards, toy_flags, call, tmp_path, root, name, code, more
):
    steps = 60
    flags = [*toy_flags, f"--corpus={toy_shards}", f"--steps={steps}", "--log_every=1", "--evaluate_every=0"]
    flags += ["--checkpoint_every=100", *more]
    command = [sys.executable, "-m", "spanbert_keras.pretrain", *flags, f"--output_dir={tmp_path / 'parts'}"]
    stopped = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        for line in stopped.stderr:
            if "step 5/" in line:
                stopped.send_signal(getattr(signal, name))
                break
        rest = stopped.stderr.read()
        assert stopped.wait() == code, rest
    finally:
        stopped.kill()
    assert "same command resumes" in rest and "Traceback" not in rest
    (path,) = (tmp_path / "parts" / "checkpoints").iterdir()
    assert 5 <= int(path.name.removeprefix("step_")) < steps
    assert not (tmp_path / "parts" / "pretrainer.keras").exists()
    for run in ("parts", "whole"):
        assert call(*flags, f"--output_dir={tmp_path / run}")[0] == 0
    states = [tmp_path / run / "checkpoints" / f"step_{steps:08d}" / "state.safetensors" for run in ("parts", "whole")]
    assert states[0].read_bytes() == states[1].read_bytes()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert sorted(losses(tmp_path / "whole")) == list(range(1, steps + 1))


def losses(folder):
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    found = EventAccumulator(str(folder / "train"), size_guidance={"tensors": 0})
    found.Reload()
    return {event.step: float(make_ndarray(event.tensor_proto)) for event in found.Tensors("optimization/loss")}


def test_a_dry_run_prints_and_leaves_no_run(toy_shards, toy_flags, call, tmp_path):
    folder = tmp_path / "run"
    code, out, _ = call(
        *toy_flags, f"--corpus={toy_shards}", f"--output_dir={folder}", "--dry_run", "--tokens_per_second=1000"
    )
    assert code == 0
    for text in ("parameters, encoder", "tokens per step", "epochs", "FLOP", "days", "GiB", "token_ids", "(4, 32)"):
        assert text in out
    assert not (folder / "run.json").exists() and not (folder / "checkpoints").exists()


@pytest.fixture
def bad(toy_shards, toy_flags, call, tmp_path):
    """Function that calls the program with more flags, which must fail; returns its one sentence."""

    def run(*flags, corpus=toy_shards, expected_code=1):
        code, _, errors = call(*toy_flags, f"--corpus={corpus}", f"--output_dir={tmp_path / 'run'}", *flags)
        assert code == expected_code
        assert len(errors) == 1
        return errors[0]

    return run


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--batch_sequences=0"], "--batch_sequences"),
        (["--accumulation_steps=3"], "--accumulation_steps=3"),
        (["--batch_tokens=128"], "--batch_tokens and --batch_sequences"),
        (["--warmup_steps=6"], "--warmup_steps=6"),
        (["--eval_schemes=span,word"], "--eval_schemes"),
        (["--log_every=0"], "--log_every"),
        (["--steps_per_call=0"], "--steps_per_call"),
        (["--replicas=0"], "--replicas"),
        (["--preemption_exit_code=0"], "--preemption_exit_code"),
        (["--preemption_exit_code=256"], "--preemption_exit_code"),
        (["--spike_nats=-1"], "--spike_nats"),
        (["--checkpoint_minutes=-1"], "--checkpoint_minutes"),
        (["--local_workers=2"], "--distribution=multi_worker"),
        (["--checkpoint_every=0"], "--checkpoint_every"),
        (["--evaluate_every=-1"], "--evaluate_every"),
        (["--max_sequence_length=2"], "--max_sequence_length"),
        (["--masking_rate=2"], "masking_rate"),
        (["--max_span_positions=0"], "max_span_positions"),
        (["--num_heads=3"], "num_heads"),
        (["--dropout=2"], "dropout"),
        (["--corpus="], "--corpus"),
        (["--corpus=a:0"], "--corpus"),
    ],
)
def test_impossible_settings_are_rejected(bad, flags, words):
    assert words in bad(*flags)


@pytest.mark.parametrize("flags", [["--batch_token=7"], ["--steps=many"], ["--decay=cosine"], ["stray"]])
def test_a_wrong_flag_is_rejected(bad, flags):
    assert "--help" in bad(*flags, expected_code=2)


def test_a_missing_corpus_is_named(bad, tmp_path):
    assert "nowhere.txt" in bad("--train_vocabulary=99", corpus=tmp_path / "nowhere.txt")


@pytest.mark.parametrize("content", ["", "\n\n\n", "one document\n"])
def test_an_empty_corpus_is_named(bad, tmp_path, content):
    (tmp_path / "empty.txt").write_text(content)
    assert "empty.txt" in bad("--train_vocabulary=99", corpus=tmp_path / "empty.txt")


def test_raw_text_needs_a_vocabulary(bad, toy_text):
    assert "--vocabulary" in bad(corpus=toy_text)


@pytest.mark.parametrize("content", ["[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n", "", None])
def test_an_unusable_vocabulary_is_named(bad, toy_text, tmp_path, content):
    if content is not None:
        (tmp_path / "bad_vocab.txt").write_text(content)
    message = bad(f"--vocabulary={tmp_path / 'bad_vocab.txt'}", corpus=toy_text)
    assert "bad_vocab.txt" in message
    assert content is None or "[MASK]" in message


@pytest.mark.parametrize("kind", ["flipped", "short", "missing"])
def test_a_damaged_shard_is_named(bad, toy_shards, tmp_path, kind):
    shutil.copytree(toy_shards, tmp_path / "shards")
    (path,) = (tmp_path / "shards").glob("train-*.pieces.npy")
    content = bytearray(path.read_bytes())
    if kind == "flipped":
        content[-7] ^= 1
    path.write_bytes(content if kind == "flipped" else content[:-2])
    if kind == "missing":
        path.unlink()
    assert path.name in bad(corpus=tmp_path / "shards")


def test_a_corpus_of_another_vocabulary_is_rejected(bad, toy_shards, tmp_path):
    pieces = (toy_shards / "vocab.txt").read_text() + "extra\n"
    (tmp_path / "other.txt").write_text(pieces)
    message = bad(f"--vocabulary={tmp_path / 'other.txt'}")
    assert "other.txt" in message and str(toy_shards) in message


def test_the_folder_of_another_run_is_rejected_and_not_changed(bad, finished, toy_text, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)

    def times():  # of all but the lock and the notes of which files of the copy were compared
        kept = (
            path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(("run.lock", "checked-"))
        )
        return {path: path.stat().st_mtime_ns for path in kept}

    files = times()
    flags = ["--train_vocabulary=150", "--heldout_share=0.1", "--eval_schemes=span,subword"]
    message = bad(*flags, "--learning_rate=0.5", corpus=toy_text)
    assert "--learning_rate" in message and str(folder) in message and "--output_dir" in message
    assert times() == files


def test_workers_without_a_description_are_rejected(bad, monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert "TF_CONFIG" in bad("--distribution=multi_worker")


def test_the_folder_of_a_running_process_is_rejected(bad, tmp_path):
    with FolderLock(tmp_path / "run"):
        assert str(tmp_path / "run") in bad()


def test_a_rehearsal_starts_the_same_command_without_itself(toy_flags, call, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(pretrain, "run_local_workers", lambda *arguments: seen.append(arguments) or 76)
    flags = [*toy_flags, "--corpus=c", f"--output_dir={tmp_path}", "--distribution=multi_worker"]
    assert call(*flags, "--local_workers=2")[0] == 76
    ((arguments, workers, folder),) = seen
    assert (workers, folder) == (2, tmp_path / "workers")
    assert program.parse(pretrain.Config, arguments) == program.parse(pretrain.Config, flags)


@pytest.mark.slow
def test_python_code_can_add_callbacks_and_receives_the_exit_code(toy_shards, toy_flags, tmp_path):
    class Preempt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    flags = [*toy_flags, f"--corpus={toy_shards}", f"--output_dir={tmp_path / 'run'}", "--preemption_exit_code=99"]
    config = program.parse(pretrain.Config, flags)
    before = signal.getsignal(signal.SIGTERM)
    assert pretrain.pretrain(config, [Preempt()]) == 99
    assert not (tmp_path / "run" / "pretrainer.keras").exists()
    assert pretrain.pretrain(config) == 0
    assert (tmp_path / "run" / "pretrainer.keras").is_file()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_output_folder_that_is_a_file_is_rejected(bad, tmp_path):
    (tmp_path / "run").write_text("mine")
    assert "--output_dir" in bad(f"--cache_dir={tmp_path / 'cache'}")
    assert "--output_dir" in bad()
    assert (tmp_path / "run").read_text() == "mine"


def test_a_loss_that_is_not_finite_ends_the_run_and_loses_nothing(bad, tmp_path):
    message = bad("--learning_rate=1e38", "--clip_norm=0", "--checkpoint_every=1", "--warmup_steps=0", "--log_every=3")
    assert "not finite" in message and "--learning_rate" in message and "--on_divergence=rollback" in message
    steps = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert steps and f"that of step {int(steps[-1].removeprefix('step_'))}" in message
