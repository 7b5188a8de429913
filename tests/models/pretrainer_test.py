"""The pretrainer: what it computes and never makes, loss, fit, LoRA."""

import math

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertPretrainer

INPUT_KEYS = (
    "token_ids",
    "segment_ids",
    "padding_mask",
    "mask_positions",
    "left_positions",
    "right_positions",
    "span_offsets",
)
V = 21
# To trace and compile takes TensorFlow half a minute per model; one test below leaves it to Keras.
FAST = {"run_eagerly": keras.backend.backend() == "tensorflow"}


def log_losses(logits, ids):
    """-log softmax(logits)[id] in float64, (B, M)."""
    shifted = logits - logits.max(-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -np.take_along_axis(log_probabilities, ids[..., None], -1)[..., 0]


def expected_metrics(outputs, batch, sbo_weight=1.0, normalization="targets"):
    """Section 3.2 in NumPy: the loss and the four figures that `fit` shows."""
    mask, span = batch["mask_weights"], batch["span_weights"]
    mlm, sbo = (log_losses(outputs[name], batch["mask_ids"]) for name in ("masked_lm", "span_boundary"))
    right = {name: outputs[name].argmax(-1) == batch["mask_ids"] for name in outputs}
    loss = ((mlm * mask).sum() + sbo_weight * (sbo * span).sum()) / mask.sum()
    if normalization == "separate":
        loss = (mlm * mask).sum() / mask.sum() + sbo_weight * (sbo * span).sum() / (span.sum() + 1)
    return {
        "loss": loss,
        "masked_lm_loss": (mlm * mask).sum() / mask.sum(),
        "span_boundary_loss": (sbo * span).sum() / span.sum(),
        "masked_lm_accuracy": (right["masked_lm"] * mask).sum() / mask.sum(),
        "span_boundary_accuracy": (right["span_boundary"] * span).sum() / span.sum(),
    }


def shapes_made(model, batch):
    """Returns the shape of every tensor that the model makes on the way, as the backend sees them."""
    batch = {key: batch[key] for key in model.input_keys}
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(batch).graph
        return {tuple(output.shape) for operation in graph.get_operations() for output in operation.outputs}
    if keras.backend.backend() == "jax":
        import re

        import jax

        text = jax.jit(lambda x: model(x, training=False)).lower(batch).as_text()
        return {tuple(map(int, found.split("x")[:-1])) for found in re.findall(r"tensor<((?:\d+x)+)\w+>", text)}
    from torch.utils._python_dispatch import TorchDispatchMode

    class Record(TorchDispatchMode):
        made = set()

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            self.made |= {
                tuple(x.shape)
                for x in (result if isinstance(result, tuple | list) else [result])
                if hasattr(x, "shape")
            }
            return result

    with Record() as record:
        model(batch, training=False)
    return record.made


def test_inputs_and_outputs_are_exactly_these(make_pretrainer):
    pretrainer = make_pretrainer(scale=None)
    assert pretrainer.input_keys == INPUT_KEYS and set(pretrainer.input) == set(INPUT_KEYS)
    assert {(x.shape, x.dtype) for x in pretrainer.input.values()} == {((None, None), "int32")}
    assert {key: (x.shape, x.dtype) for key, x in pretrainer.output.items()} == {
        "masked_lm": ((None, None, V), "float32"),
        "span_boundary": ((None, None, V), "float32"),
    }


@pytest.fixture
def paired(masked):
    """The masked batch with pairs, (B, P) = (6, 3), of which some are padding; T 24."""
    rng = np.random.default_rng(2)
    pairs = {"pair_positions": rng.integers(0, 9, (6, 3)), "next_sentence_labels": rng.integers(0, 2, (6, 3))}
    weights = (np.arange(3) < rng.integers(1, 4, (6, 1))).astype("float32")
    return masked | {key: value.astype("int32") for key, value in pairs.items()} | {"pair_weights": weights}


def test_with_a_next_sentence_head_there_is_one_more_input_and_output(make_pretrainer):
    pretrainer = make_pretrainer(scale=None, next_sentence=True)
    assert pretrainer.input_keys == (*INPUT_KEYS, "pair_positions") and set(pretrainer.input) == {
        *pretrainer.input_keys
    }
    assert pretrainer.target_keys == (*SpanBertPretrainer.target_keys, "next_sentence_labels", "pair_weights")
    found = pretrainer.output["next_sentence"]
    assert (found.shape, found.dtype, len(pretrainer.output)) == ((None, None, 2), "float32", 3)
    assert SpanBertPretrainer.input_keys == INPUT_KEYS  # of the class, and of models without
    assert set(SpanBertPretrainer.target_of) == {"masked_lm", "span_boundary"}


def test_without_a_next_sentence_head_files_are_as_before(make_pretrainer):
    config = make_pretrainer(scale=None).get_config()
    assert not {"next_sentence", "nsp_weight"} & set(config)
    again = SpanBertPretrainer.from_config(config)
    assert again.next_sentence is False and again.next_sentence_head is None


def test_the_next_sentence_head_reads_the_encoders_output_at_pairs(make_pretrainer, to_numpy, paired):
    pretrainer = make_pretrainer(next_sentence=True)
    outputs = to_numpy(pretrainer(paired))
    sequence = pretrainer.encoder(paired)["sequence_output"]
    expected = to_numpy(pretrainer.next_sentence_head(sequence, paired["pair_positions"]))
    np.testing.assert_allclose(outputs["next_sentence"], expected, atol=1e-5)
    assert np.abs(np.diff(expected, axis=1)).max() > 1e-2  # pairs of a row differ


@pytest.mark.parametrize("settings", [{}, {"nsp_weight": 0.25}, {"nsp_weight": 2.0, "loss_normalization": "separate"}])
def test_evaluate_adds_the_mean_loss_of_the_pairs(make_pretrainer, to_numpy, paired, settings):
    pretrainer = make_pretrainer(next_sentence=True, **settings)
    pretrainer.compile(optimizer="sgd", **FAST)
    metrics = pretrainer.evaluate(paired, batch_size=6, verbose=0, return_dict=True)
    outputs = to_numpy(pretrainer(paired))
    pairs = outputs.pop("next_sentence")
    expected = expected_metrics(outputs, paired, 1.0, settings.get("loss_normalization", "targets"))
    losses, weights = log_losses(pairs, paired["next_sentence_labels"]), paired["pair_weights"]
    mean = (losses * weights).sum() / weights.sum()
    right = pairs.argmax(-1) == paired["next_sentence_labels"]
    expected["loss"] += settings.get("nsp_weight", 1.0) * mean
    expected |= {"next_sentence_loss": mean, "next_sentence_accuracy": (right * weights).sum() / weights.sum()}
    assert metrics == pytest.approx(expected, rel=1e-5)


def test_texts_are_rejected_by_a_model_with_a_next_sentence_head(make_pretrainer, paired):
    pretrainer = make_pretrainer(scale=None, next_sentence=True)
    sentence = (
        r"has a next-sentence head.*Expected: batches with .*'pair_positions'\].*next_sentence=False. Received: list"
    )
    for method in (pretrainer.fit, pretrainer.evaluate, pretrainer.predict, pretrainer.train_on_batch):
        with pytest.raises(ValueError, match=sentence):
            method(["a b c d", "e f g h"])
    with pytest.raises(ValueError, match=r"Missing: \['pair_positions'\]"):
        pretrainer({key: value for key, value in paired.items() if key != "pair_positions"})


def test_it_is_the_encoder_and_both_heads(make_pretrainer, to_numpy, masked):
    pretrainer = make_pretrainer()
    outputs = to_numpy(pretrainer(masked))
    sequence = pretrainer.encoder(masked)["sequence_output"]
    mlm = pretrainer.masked_lm_head(sequence, masked["mask_positions"])
    sbo = pretrainer.span_boundary_head(
        sequence, masked["left_positions"], masked["right_positions"], masked["span_offsets"]
    )
    np.testing.assert_allclose(outputs["masked_lm"], to_numpy(mlm), atol=1e-5)
    np.testing.assert_allclose(outputs["span_boundary"], to_numpy(sbo), atol=1e-5)


def test_logits_are_made_only_at_masked_positions(make_encoder, make_pretrainer, masked):
    """B 6, T 24, M 4, V 901, D 12: nothing has as many numbers as (B, T, V)."""
    pretrainer = make_pretrainer(make_encoder(vocabulary_size=901))
    made = shapes_made(pretrainer, masked)
    assert any(math.prod(shape) == 6 * 4 * 901 for shape in made)  # the logits themselves are seen
    assert max(math.prod(shape) for shape in made) < 6 * 24 * 901


@pytest.mark.parametrize("settings", [{}, {"sbo_weight": 0.5}, {"loss_normalization": "separate"}])
def test_evaluate_gives_the_papers_loss(make_pretrainer, to_numpy, masked, settings):
    pretrainer = make_pretrainer(**settings)
    assert 0 < masked["span_weights"].sum() < masked["mask_weights"].sum() < masked["mask_weights"].size
    pretrainer.compile(optimizer="sgd", **FAST)
    metrics = pretrainer.evaluate(masked, batch_size=6, verbose=0, return_dict=True)
    expected = expected_metrics(
        to_numpy(pretrainer(masked)),
        masked,
        settings.get("sbo_weight", 1.0),
        settings.get("loss_normalization", "targets"),
    )
    assert metrics == pytest.approx(expected, rel=1e-5)


def test_fit_works_as_keras_compiles_by_default(make_encoder, make_pretrainer, masked):
    pretrainer = make_pretrainer(make_encoder(num_layers=1, dropout=0.0))
    pretrainer.compile(optimizer=keras.optimizers.Adam(0.01))
    given = masked | {"aaa": masked["mask_positions"] * 0}
    losses = pretrainer.fit(given, batch_size=3, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]


def test_each_heads_loss_begins_near_the_vocabularys_logarithm(tokenizer, to_numpy, masked):
    encoder = SpanBertEncoder(3001, 2, 2, 128, 512, max_sequence_length=32)
    outputs = to_numpy(SpanBertPretrainer(encoder)(masked))
    for name, logits in outputs.items():
        loss = log_losses(logits, masked["mask_ids"])[masked["mask_weights"] > 0].mean()
        assert loss == pytest.approx(math.log(3001), rel=0.03), name


def test_both_heads_hold_the_encoders_own_embedding_and_own_biases(make_pretrainer, tmp_path):
    pretrainer = make_pretrainer()
    pretrainer.save(tmp_path / "pretrainer.keras")
    for model in (pretrainer, keras.saving.load_model(tmp_path / "pretrainer.keras")):
        heads = (model.masked_lm_head, model.span_boundary_head)
        assert all(head.embedding is model.encoder.token_embedding for head in heads)
        assert heads[0].vocabulary_bias is not heads[1].vocabulary_bias
        assert sum(tuple(weight.shape) == (V, 12) for weight in model.weights) == 1


@pytest.mark.parametrize("dtypes", [("mixed_bfloat16", None), ("float32", "mixed_bfloat16")])
def test_dtype_policies_survive_a_configuration(make_encoder, make_pretrainer, dtypes):
    pretrainer = make_pretrainer(make_encoder(scale=None, num_layers=1, dtype=dtypes[0]), scale=None, dtype=dtypes[1])
    again = SpanBertPretrainer.from_config(pretrainer.get_config())
    for model in (pretrainer, again):
        assert model.encoder.blocks[0].attention.dtype_policy.name == dtypes[0]
        assert model.masked_lm_head.dense.dtype_policy.name == (dtypes[1] or dtypes[0])


def test_only_lora_is_trained_and_can_be_saved(make_pretrainer, to_numpy, masked, tmp_path):
    pretrainer = make_pretrainer()
    pretrainer.encoder.enable_lora(2)
    pretrainer.masked_lm_head.trainable = pretrainer.span_boundary_head.trainable = False
    assert {w.path.split("/")[-1] for w in pretrainer.trainable_weights} == {"bias", "lora_kernel_a", "lora_kernel_b"}
    before, table = to_numpy(pretrainer(masked)), to_numpy(pretrainer.encoder.token_embedding.embeddings.value)
    pretrainer.compile(optimizer=keras.optimizers.Adam(0.05), **FAST)
    pretrainer.fit(masked, batch_size=6, epochs=2, verbose=0)
    np.testing.assert_array_equal(to_numpy(pretrainer.encoder.token_embedding.embeddings.value), table)
    pretrainer.save(tmp_path / "pretrainer.keras")
    again = to_numpy(keras.saving.load_model(tmp_path / "pretrainer.keras")(masked))  # Keras adds LoRA to the kernels
    for name, logits in to_numpy(pretrainer(masked)).items():
        assert np.abs(logits - before[name]).max() > 1e-2
        np.testing.assert_allclose(again[name], logits, atol=1e-5)


@pytest.mark.slow
def test_int8_computes_nearly_the_same_and_can_be_saved(make_pretrainer, to_numpy, masked, tmp_path):
    pretrainer = make_pretrainer()
    before = to_numpy(pretrainer(masked))
    pretrainer.quantize("int8")
    assert pretrainer.span_boundary_head.dense_2.quantization_mode == "int8"
    after = to_numpy(pretrainer(masked))
    pretrainer.save(tmp_path / "pretrainer.keras")
    again = to_numpy(keras.saving.load_model(tmp_path / "pretrainer.keras")(masked))
    for name, logits in after.items():
        assert np.corrcoef(logits.ravel(), before[name].ravel())[0, 1] > 0.98, name
        np.testing.assert_allclose(again[name], logits, atol=1e-5)
