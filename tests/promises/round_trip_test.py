"""Whatever can be saved opens as it was, in the second and third generation too: every registered class, in every
precision, frozen, adapted or quantized."""

import copy
import gc
import itertools
import json
import warnings

import keras
import numpy as np
import pytest

import spanbert_keras
from spanbert_keras.layers.saving.saved_state import KEY
from spanbert_keras.training.run import saving
from tests.promises import model_cases
from tests.promises import round_trip_cases as cases
from tests.promises.model_cases import PIECES, TASKS
from tests.promises.round_trip_cases import LAYERS, MODELS, registered

# Not models, but saved inside them; and the base of what `compile` is given.
PREPROCESSORS = {case.kind.preprocessor_cls.__name__ for case in TASKS.values()}
PARTS = {"SpanBertTokenizer", "SpanMasker", "WarmupLinearDecay", *PREPROCESSORS}
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
MODES = (None, "int8", "int4", "float8")
TRAINABLE = ("all", "frozen", "lora")


def product(name):
    """Yields every state of a class: each policy, and each mode of quantization over float32. Keras has no LoRA of
    float8. Modes over half precision differ in what Keras' own layers do alone; some are in `CORE`."""
    precisions = [(policy, None) for policy in POLICIES] + [("float32", mode) for mode in MODES if mode]
    for (policy, mode), trainable in itertools.product(precisions, TRAINABLE):
        if (mode, trainable) != ("float8", "lora"):
            yield name, policy, mode, trainable


def make(name, policy="float32", mode=None, trainable="all", encoder=None):
    """Returns a subject in the given state, compiled, with an optimizer that remembers something."""
    if name in MODELS:
        subject = MODELS[name](encoder or cases.make_encoder(policy))
    else:
        subject = LAYERS[name](policy)
    cases.fill(subject.model)
    gc.freeze()  # Keras collects garbage for each layer that it quantizes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # layers that cannot be quantized
        if mode:
            subject.model.quantize(mode)
    if trainable == "frozen":
        cases.freeze(subject.model)
    elif trainable == "lora":
        cases.adapt(subject.model)
        cases.fill(subject.model)
    cases.remember(subject)
    gc.unfreeze()
    return subject


def saved_and_opened(model, folder):
    path = folder / "model.keras"
    model.save(path)
    return keras.saving.load_model(path)


def same(subject, opened):
    """Asserts that a loaded model is what was saved."""
    assert type(opened) is type(subject.model)
    if hasattr(opened, "tokenizer"):
        assert opened.tokenizer.get_config() == subject.model.tokenizer.get_config()
        assert opened.tokenizer.get_vocabulary() == PIECES
    np.testing.assert_equal(cases.state(opened), cases.state(subject.model))
    np.testing.assert_equal(cases.answers(subject, opened), cases.answers(subject, subject.model))
    assert json.dumps(opened.get_config(), sort_keys=True) == json.dumps(subject.model.get_config(), sort_keys=True)


def check(folder, *what):
    subject = make(*what)
    once = saved_and_opened(subject.model, folder)
    same(subject, once)
    twice = saved_and_opened(once, folder)
    same(subject, twice)
    if case := TASKS.get(type(twice).__name__):
        model_cases.same(case.ask(twice), case.ask(subject.model))


def test_every_registered_class_has_a_case():
    assert set(registered()) == {*MODELS, *LAYERS, *PARTS}


# Each model in each state once, and each pair of precision and state with some model.
CORE = [
    ("SpanBertEncoder", "float32", None, "frozen"),
    ("SpanBertEncoder", "mixed_bfloat16", "int8", "lora"),
    ("SpanBertPretrainer", "mixed_float16", None, "lora"),
    ("SpanBertPretrainer", "float32", "int4", "frozen"),
    ("SpanBertQuestionAnswerer", "mixed_bfloat16", "int8", "all"),
    ("SpanBertQuestionAnswerer", "mixed_float16", "float8", "frozen"),
    ("SpanBertTextClassifier", "float32", "int8", "frozen"),
    ("SpanBertTextClassifier", "float32", None, "lora"),
    ("SpanBertRelationExtractor", "mixed_bfloat16", "int4", "lora"),
    ("SpanBertCoreferenceResolver", "float32", "int8", "all"),
    ("SpanBertCoreferenceResolver", "mixed_bfloat16", None, "frozen"),
]


@pytest.mark.parametrize("name, policy, mode, trainable", CORE)
def test_a_model_opens_as_it_was_twice(tmp_path, name, policy, mode, trainable):
    check(tmp_path, name, policy, mode, trainable)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_in_a_plain_graph_opens_as_it_was_twice(tmp_path, name):
    trainable = "all" if name == "gelu" else "frozen"
    check(tmp_path, name, "float32", None, trainable)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_in_every_state_opens_as_it_was_twice(tmp_path, name):
    for what in product(name):
        check(tmp_path, *what)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("gelu", "AttentionMask")])
def test_every_layer_in_every_state_opens_as_it_was_twice(tmp_path, name):
    for what in product(name):
        check(tmp_path, *what)


@pytest.fixture(scope="module", params=["frozen", "lora"])
def loaded_encoder(request, tmp_path_factory):
    """An encoder that was saved and loaded twice, and the config it had at first."""
    first, folder = make("SpanBertEncoder", "float32", None, request.param).model, tmp_path_factory.mktemp("encoder")
    encoder = saved_and_opened(saved_and_opened(first, folder), folder)
    assert encoder.get_config() == first.get_config()
    return encoder, first.get_config()


@pytest.mark.parametrize("name", TASKS)
def test_a_model_on_an_encoder_that_was_itself_loaded_opens_as_it_was(tmp_path, name, loaded_encoder):
    encoder, config = loaded_encoder
    subject = MODELS[name](encoder)
    cases.remember(subject)
    assert encoder.get_config() == config
    same(subject, saved_and_opened(subject.model, tmp_path))


def test_a_plain_model_on_the_layers_of_a_loaded_encoder_opens_as_it_was(tmp_path):
    encoder = saved_and_opened(make("SpanBertEncoder", "float32", None, "frozen").model, tmp_path)
    head = keras.layers.Dense(2)(encoder.output["sequence_output"])
    subject = cases.Subject(keras.Model(encoder.inputs, head), cases.rows(), own_targets=False)
    cases.remember(subject)
    same(subject, saved_and_opened(subject.model, tmp_path))


def test_training_continues_as_if_nothing_had_been_saved(tmp_path):
    keras.utils.set_random_seed(3)
    subject = make("SpanBertTextClassifier", "float32", None, "lora")
    opened = saved_and_opened(subject.model, tmp_path)
    for model in (subject.model, opened):
        keras.utils.set_random_seed(4)
        model.train_on_batch(subject.batch)
    for mine, theirs in zip(subject.model.weights, opened.weights, strict=True):
        np.testing.assert_allclose(*(keras.ops.convert_to_numpy(w) for w in (theirs, mine)), atol=1e-5)
    moved = [w for w in opened.trainable_weights if "lora_kernel" in w.name]
    assert len(moved) == 12 and all(np.any(keras.ops.convert_to_numpy(w)) for w in moved)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_layers_frozen_after_training_keep_the_optimizers_state(tmp_path, policy):
    subject = make("SpanBertTextClassifier", policy)
    subject.model.encoder.trainable = False
    opened = saved_and_opened(saved_and_opened(subject.model, tmp_path), tmp_path)
    same(subject, opened)
    assert len(opened.optimizer.variables) > 2 * len(make("SpanBertTextClassifier").model.trainable_weights)
    assert len(opened.trainable_weights) == 4


@pytest.mark.parametrize("trainable", ["frozen", "lora"])
def test_a_preset_is_the_encoder_as_it_was(tmp_path, trainable):
    subject = make("SpanBertEncoder", "float32", None, trainable)
    subject.model.optimizer = None
    saving.save_preset(subject.model, tmp_path / "preset")
    again = spanbert_keras.SpanBertEncoder.from_preset(tmp_path / "preset")
    np.testing.assert_equal(cases.state(again), cases.state(subject.model))
    np.testing.assert_equal(cases.answers(subject, again), cases.answers(subject, subject.model))
    if trainable == "lora":
        again.save_lora_weights(tmp_path / "encoder.lora.h5")
        again.load_lora_weights(tmp_path / "encoder.lora.h5")


@pytest.mark.parametrize("name", ["SpanBertPretrainer", "SpanBertCoreferenceResolver"])
def test_a_copy_and_weights_alone_keep_everything(tmp_path, name):
    subject = make(name, "float32", None, "lora")
    same(subject, copy.deepcopy(subject.model))
    other = type(subject.model).from_config(subject.model.get_config())
    subject.model.save_weights(tmp_path / "model.weights.h5")
    other.encoder.tokenizer = subject.model.tokenizer
    other.load_weights(tmp_path / "model.weights.h5")
    for mine, theirs in zip(subject.model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(theirs))


def test_adapted_weights_fit_a_model_without_adapters(tmp_path):
    subject = make("SpanBertEncoder", "float32", None, "lora")
    subject.model.save_weights(tmp_path / "model.weights.h5")
    plain = cases.make_encoder()
    plain.load_weights(tmp_path / "model.weights.h5")
    found, expected = cases.answers(subject, plain), cases.answers(subject, subject.model)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)


def test_regularizers_and_constraints_of_inner_weights_are_kept(tmp_path):
    model = MODELS["SpanBertQuestionAnswerer"](cases.make_encoder()).model
    model.encoder.blocks[1].intermediate.kernel.regularizer = keras.regularizers.L2(0.25)
    model.answer_head.kernel.constraint = keras.constraints.MaxNorm(2.0)
    model.encoder.blocks[0].activity_regularizer = keras.regularizers.L1(0.5)
    opened = saved_and_opened(saved_and_opened(model, tmp_path), tmp_path)
    assert opened.encoder.blocks[1].intermediate.kernel.regularizer.l2 == 0.25
    assert opened.answer_head.kernel.constraint.max_value == 2.0
    assert opened.encoder.blocks[0].activity_regularizer.l1 == 0.5


def test_configs_of_untouched_models_are_as_they_were_before():
    for name in MODELS:
        assert KEY not in MODELS[name](cases.make_encoder()).model.get_config()


def test_quantizing_and_saving_leaves_the_live_models_policies_alone(tmp_path):
    subject = make("SpanBertEncoder", "mixed_bfloat16", "int8", "all")
    before = cases.state(subject.model)
    subject.model.save(tmp_path / "model.keras")
    np.testing.assert_equal(cases.state(subject.model), before)


@pytest.mark.parametrize("name", ["SpanBertEncoder", "SpanBertPretrainer"])
def test_quantized_models_of_earlier_versions_open_and_can_be_saved_again(tmp_path, name):
    subject = make(name, "float32", "int8", "all")
    subject.model.save_weights(tmp_path / "model.weights.h5")
    config = subject.model.get_config()
    own = config.pop(KEY)["quantized"]
    policies = {path: keras.dtype_policies.QuantizedDTypePolicy("int8", "float32") for path in own}
    default = keras.DTypePolicy("float32")
    config["dtype"] = keras.dtype_policies.serialize(keras.dtype_policies.DTypePolicyMap(default, policies))
    opened = type(subject.model).from_config(json.loads(json.dumps(config)))
    (opened if name == "SpanBertEncoder" else opened.encoder).tokenizer = subject.model.tokenizer
    opened.load_weights(tmp_path / "model.weights.h5")
    again = saved_and_opened(opened, tmp_path)
    np.testing.assert_equal(cases.answers(subject, again)[:1], cases.answers(subject, subject.model)[:1])
    assert again.get_config()[KEY]["quantized"].keys() == own.keys()
    assert cases.state(again)["trainable"] == cases.state(subject.model)["trainable"]


def test_modes_that_need_data_are_rejected_before_anything_is_saved():
    with pytest.raises(ValueError, match="config"):
        cases.make_encoder().quantize("gptq")


def test_a_state_of_another_model_is_rejected_by_name():
    config = cases.make_encoder().get_config() | {KEY: {"trainable": {"block_7": False}}}
    with pytest.raises(ValueError, match=r"`SpanBertEncoder` names the layer 'block_7', which is not here"):
        spanbert_keras.SpanBertEncoder.from_config(config)


def test_tokenizer_masker_and_schedule_are_made_again():
    tokenizer = spanbert_keras.SpanBertTokenizer(PIECES)
    masker = spanbert_keras.SpanMasker(tokenizer=tokenizer, scheme="whole_word", max_predictions=3)
    schedule = spanbert_keras.WarmupLinearDecay(1e-3, 2, 9)
    for one in (tokenizer, masker, schedule):
        again = twice = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
        twice = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(again))
        assert type(twice) is type(one)
        assert json.dumps(twice.get_config(), default=str) == json.dumps(one.get_config(), default=str)
