"""The encoder: equal to BERT, packed rows, sizes, presets, LoRA, int8."""

import json

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertTokenizer
from spanbert_keras.errors import InputError


def test_it_equals_berts_at_every_position(make_encoder, as_bert, to_numpy, rows):
    import torch

    encoder = make_encoder(scale=0.2)
    with torch.no_grad():
        expected = as_bert(encoder)(
            input_ids=torch.tensor(rows["token_ids"]).long(),
            attention_mask=torch.tensor(rows["padding_mask"]).long(),
            token_type_ids=torch.tensor(rows["segment_ids"]).long(),
        ).last_hidden_state
    output = to_numpy(encoder(rows)["sequence_output"])
    np.testing.assert_allclose(output, expected.numpy(), atol=2e-5)  # padding positions too


def test_segments_positions_and_pieces_all_matter(make_encoder, to_numpy, rows):
    encoder = make_encoder()
    before = to_numpy(encoder(rows)["sequence_output"])
    for change in ({"segment_ids": (rows["segment_ids"] + 1) % 4}, {"token_ids": rows["token_ids"] - 1}):
        assert np.abs(to_numpy(encoder(rows | change)["sequence_output"]) - before).max() > 0.1, list(change)
    rolled = {key: np.roll(value, 1, axis=1) for key, value in rows.items()}
    assert np.abs(np.roll(to_numpy(encoder(rolled)["sequence_output"]), -1, axis=1) - before)[0].max() > 0.1


def test_padding_has_no_influence_on_pieces(make_encoder, to_numpy, rows):
    encoder = make_encoder()
    before = to_numpy(encoder(rows)["sequence_output"])
    other = {key: value.copy() for key, value in rows.items()}
    other["token_ids"][1, 7:], other["segment_ids"][1, 7:] = 2, 0
    np.testing.assert_allclose(to_numpy(encoder(other)["sequence_output"])[1, :7], before[1, :7], atol=1e-5)
    shorter = {key: value[1:2, :7] for key, value in rows.items()}
    np.testing.assert_allclose(to_numpy(encoder(shorter)["sequence_output"])[0], before[1, :7], atol=1e-5)


def test_a_packed_row_computes_what_its_blocks_compute_alone(make_encoder, to_numpy):
    rng, lengths = np.random.default_rng(5), (4, 6, 3)
    blocks = [rng.integers(5, 21, (1, length)).astype("int32") for length in lengths]
    mask = np.concatenate([np.full((1, n), i + 1) for i, n in enumerate(lengths)] + [np.zeros((1, 2))], 1)
    ids = np.concatenate([*blocks, np.full((1, 2), 7)], 1).astype("int32")
    encoder = make_encoder()
    packed = to_numpy(
        encoder({"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": mask.astype("int32")})[
            "sequence_output"
        ]
    )
    start = 0
    for block in blocks:
        alone = encoder({"token_ids": block, "segment_ids": np.zeros_like(block), "padding_mask": np.ones_like(block)})[
            "sequence_output"
        ]
        np.testing.assert_allclose(packed[:, start : start + block.shape[1]], to_numpy(alone), atol=1e-5)
        start += block.shape[1]


@pytest.mark.parametrize("name, parameters", [("base", 107_719_680), ("large", 332_529_664)])
def test_parameters_are_as_many_as_published(name, parameters):
    with keras.StatelessScope(initialize_variables=False):  # shapes alone, no gigabytes
        encoder = SpanBertEncoder.from_preset(name, load_weights=False)
    counted = encoder.count_params()
    keras.utils.clear_session()  # forgets the variables that wait for their values
    assert counted == parameters


def test_it_is_a_backbone_with_three_inputs_and_one_output(make_encoder, sizes):
    import keras_hub

    encoder = make_encoder(scale=None)
    assert isinstance(encoder, keras_hub.models.Backbone)
    assert encoder.input_keys == ("token_ids", "segment_ids", "padding_mask")
    assert set(encoder.input) == set(encoder.input_keys)
    assert encoder.output["sequence_output"].shape == (None, None, sizes["hidden_dim"])
    inputs = {key: keras.KerasTensor((2, 9), dtype="int32") for key in encoder.input_keys}
    assert encoder(inputs)["sequence_output"].shape == (2, 9, sizes["hidden_dim"])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_every_policy_computes_nearly_the_same(make_encoder, to_numpy, rows, policy):
    exact = to_numpy(make_encoder(scale=0.2)(rows)["sequence_output"])
    encoder = make_encoder(scale=0.2, dtype=policy)
    output = encoder(rows)["sequence_output"]
    assert keras.backend.standardize_dtype(output.dtype) == encoder.compute_dtype
    assert {weight.dtype for weight in encoder.weights} == {"float32"}
    np.testing.assert_allclose(to_numpy(output), exact, atol={"float32": 1e-5, "mixed_bfloat16": 0.2}.get(policy, 0.03))


def test_dropout_goes_to_hidden_states_and_attention(make_encoder):
    block = make_encoder(scale=None, dropout=0.2, attention_dropout=0.3).blocks[1]
    assert (block.output_dropout.rate, block.attention.dropout_layer.rate) == (0.2, 0.3)
    assert make_encoder(scale=None, dropout=0.2).blocks[0].attention.dropout_layer.rate == 0.2


def test_what_is_kept_is_set_for_all_blocks(make_encoder):
    encoder = make_encoder(scale=None)
    encoder.set_recompute("attention")
    encoder.set_attention("reference")
    assert [(block.recompute, block.attention.attention) for block in encoder.blocks] == [
        ("attention", "reference")
    ] * 2
    for change in (encoder.set_recompute, encoder.set_attention):
        with pytest.raises(InputError, match="reference|blocks"):
            change("all")


def test_a_tokenizer_of_another_size_is_rejected(make_encoder, tokenizer):
    with pytest.raises(ValueError, match="vocabulary_size=22 pieces. Received: a tokenizer of 21 pieces"):
        make_encoder(vocabulary_size=22, tokenizer=tokenizer)


def test_it_is_made_again_from_its_configuration_without_the_vocabulary(make_encoder, tokenizer, sizes):
    encoder = make_encoder(scale=None, dropout=0.2, attention_dropout=0.3, dtype="mixed_bfloat16", tokenizer=tokenizer)
    config = json.loads(json.dumps(encoder.get_config()))
    assert "##h" not in json.dumps(config)  # the vocabulary is an asset
    again = SpanBertEncoder.from_config(config)
    assert {name: getattr(again, name) for name in sizes} == sizes
    assert (again.dropout, again.attention_dropout, again.compute_dtype) == (0.2, 0.3, "bfloat16")
    assert isinstance(again.tokenizer, SpanBertTokenizer) and not again.tokenizer.has_vocabulary


def test_a_saved_file_gives_the_same_numbers_and_vocabulary(make_encoder, tokenizer, to_numpy, rows, tmp_path):
    encoder = make_encoder(tokenizer=tokenizer, name="mine")
    encoder.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    assert type(again) is SpanBertEncoder and again.name == "mine"
    assert again.tokenizer.get_vocabulary() == tokenizer.get_vocabulary()
    np.testing.assert_array_equal(to_numpy(again(rows)["sequence_output"]), to_numpy(encoder(rows)["sequence_output"]))


def test_a_preset_directory_gives_the_same_numbers_and_vocabulary(make_encoder, tokenizer, to_numpy, rows, tmp_path):
    encoder = make_encoder(tokenizer=tokenizer)
    encoder.save_to_preset(tmp_path / "preset")
    again = SpanBertEncoder.from_preset(str(tmp_path / "preset"))
    np.testing.assert_array_equal(to_numpy(again(rows)["sequence_output"]), to_numpy(encoder(rows)["sequence_output"]))
    assert again.tokenizer.get_vocabulary() == tokenizer.get_vocabulary()
    assert SpanBertTokenizer.from_preset(str(tmp_path / "preset")).get_vocabulary() == tokenizer.get_vocabulary()
    random = SpanBertEncoder.from_preset(str(tmp_path / "preset"), load_weights=False)
    assert np.abs(to_numpy(random(rows)["sequence_output"]) - to_numpy(encoder(rows)["sequence_output"])).max() > 0.1


def test_a_preset_without_tokenizer_works_too(make_encoder, to_numpy, rows, tmp_path):
    encoder = make_encoder()
    encoder.save_to_preset(tmp_path / "preset")
    again = SpanBertEncoder.from_preset(str(tmp_path / "preset"))
    assert again.tokenizer is None
    np.testing.assert_array_equal(to_numpy(again(rows)["sequence_output"]), to_numpy(encoder(rows)["sequence_output"]))


def test_an_architectures_name_has_no_weights(sizes):
    with pytest.raises(ValueError, match="`base` names an architecture and has no weights. Pass load_weights=False"):
        SpanBertEncoder.from_preset("base", load_weights=True)
    with pytest.raises(ValueError, match="`large` names an architecture"):
        SpanBertEncoder.from_preset("large")
    encoder = SpanBertEncoder.from_preset("tiny", load_weights=False, **(sizes | {"num_layers": 3}))
    assert (encoder.num_layers, encoder.hidden_dim) == (3, 12)


def test_lora_trains_only_the_query_and_value_layers_and_acts(make_encoder, to_numpy, rows):
    encoder = make_encoder(dropout=0.0)
    before = to_numpy(encoder(rows)["sequence_output"])
    encoder.enable_lora(rank=2)
    names = {"/".join(weight.path.split("/")[-2:]) for weight in encoder.trainable_weights}
    # As everywhere in Keras, the bias of a LoRA layer is trained with its two factors; the kernel is not.
    assert names == {f"{n}/{k}" for n in ("query", "value") for k in ("bias", "lora_kernel_a", "lora_kernel_b")}
    np.testing.assert_allclose(to_numpy(encoder(rows)["sequence_output"]), before, atol=1e-6)  # it begins at zero
    frozen = {weight.path: to_numpy(weight.value) for weight in encoder.non_trainable_weights}
    trained = {weight.path: to_numpy(weight.value) for weight in encoder.trainable_weights}
    eager = keras.backend.backend() == "tensorflow"  # which takes long to trace
    encoder.compile(optimizer=keras.optimizers.Adam(0.01), loss={"sequence_output": "mse"}, run_eagerly=eager)
    encoder.fit(rows, {"sequence_output": before + 1.0}, epochs=3, verbose=0)
    for weight in encoder.weights:
        if weight.path in frozen and "seed" not in weight.path:
            np.testing.assert_array_equal(to_numpy(weight.value), frozen[weight.path])
        elif weight.path in trained:
            assert np.abs(to_numpy(weight.value) - trained[weight.path]).max() > 1e-4, weight.path
    assert np.abs(to_numpy(encoder(rows)["sequence_output"]) - before).max() > 1e-3


@pytest.mark.slow
def test_int8_computes_nearly_the_same_and_can_be_saved(make_encoder, tokenizer, to_numpy, rows, tmp_path):
    encoder = make_encoder(scale=0.2, tokenizer=tokenizer)
    before = to_numpy(encoder(rows)["sequence_output"])
    encoder.quantize("int8")
    after = to_numpy(encoder(rows)["sequence_output"])
    assert 0 < np.abs(after - before).max() < 0.25
    encoder.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(to_numpy(again(rows)["sequence_output"]), after, atol=1e-5)
