"""Coreference checkpoints of the research code, written by TensorFlow 1's saver with the optimizers' slots.

The weights are those of the golden documents, whose scores the released code computed, and of a small resolver.
"""

import inspect
import json
import operator
import os

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertCoreferenceResolver, SpanBertEncoder, convert, load_pretrained, program
from spanbert_keras.conversion.checkpoint import Checkpoint
from spanbert_keras.conversion.formats.coreference_names import VARIABLES, holds_coreference, with_coreference
from spanbert_keras.conversion.formats.own_models import from_model
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError

tf = pytest.importorskip("tensorflow", reason="TensorFlow writes the checkpoints that are read here")

# The research code's variable -> (the golden file's array, the resolver's weight).
PLACES = {
    "span_width_embeddings": ("span_width_emb", "span_vectors.width_embeddings"),
    "span_width_prior_embeddings": ("width_prior/emb", "mention_scorer.width_embeddings"),
    "antecedent_distance_emb": ("dist_prior/emb", "coarse_antecedents.distance_embeddings"),
    "genre_embeddings": ("genre_emb", "pair_scorer.genre_embeddings"),
    "coref_layer/same_speaker_emb": ("same_speaker_emb", "pair_scorer.speaker_embeddings"),
    "coref_layer/antecedent_distance_emb": ("antecedent_distance_emb", "pair_scorer.distance_embeddings"),
    "coref_layer/segment_distance/segment_distance_embeddings": (
        "segment_distance_emb",
        "pair_scorer.segment_embeddings",
    ),
}
for scope, array, layer in (
    ("mention_word_attn/", "head_attn", "span_vectors.head_score"),
    ("", "dist_prior/out", "coarse_antecedents.distance_score"),
    ("src_projection/", "coarse_src", "coarse_antecedents.projection"),
    ("coref_layer/f/", "gate", "span_refinement.gate"),
    ("mention_scores/", "mention_ffnn/out", "mention_scorer.span_score.out"),
    ("width_scores/", "width_prior/out", "mention_scorer.width_score.out"),
    ("coref_layer/slow_antecedent_scores/", "fine_ffnn/out", "pair_scorer.score.out"),
):
    PLACES[f"{scope}output_weights"] = (f"{array}/kernel", f"{layer}.kernel")
    PLACES[f"{scope}output_bias"] = (f"{array}/bias", f"{layer}.bias")
for scope, array, layer in (
    ("mention_scores/", "mention_ffnn/hidden", "mention_scorer.span_score.hidden"),
    ("width_scores/", "width_prior/hidden", "mention_scorer.width_score.hidden"),
    ("coref_layer/slow_antecedent_scores/", "fine_ffnn/hidden", "pair_scorer.score.hidden"),
):
    PLACES[f"{scope}hidden_weights_0"] = (f"{array}/kernel", f"{layer}.kernel")
    PLACES[f"{scope}hidden_bias_0"] = (f"{array}/bias", f"{layer}.bias")
PREFIX = "model.max.ckpt"
TASK = {"max_span_width": 5, "feature_dim": 4, "hidden_dim": 12}
SEGMENTS = "coref_layer/segment_distance/segment_distance_embeddings"


def save(folder, variables):
    """Writes a checkpoint as the released code does: TensorFlow's Adam on the task, its own Adam on BERT, a counter."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        made = {name: v1.get_variable(name, initializer=value) for name, value in variables.items()}
        task = [variable for name, variable in made.items() if not name.startswith("bert/")]
        losses = tf.add_n([tf.reduce_sum(variable**2) for variable in task])
        step = v1.train.get_or_create_global_step()
        train = v1.train.AdamOptimizer(0.1).minimize(losses, step, var_list=task)
        for name, value in variables.items():
            if name.startswith("bert/"):
                for slot in ("adam_m", "adam_v"):
                    v1.get_variable(f"{name}/{slot}", initializer=value + 1)
        session.run(v1.global_variables_initializer())
        session.run(train)  # so that slots and counters are not zero
        session.run([variable.assign(variables[name]) for name, variable in made.items()])
        v1.train.Saver().save(session, str(folder / PREFIX))


def write(folder, variables):
    """Writes a checkpoint with just these variables."""
    names = sorted(variables)
    tf.raw_ops.SaveV2(
        prefix=str(folder / PREFIX),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(variables[name]) for name in names],
    )
    return folder


@pytest.fixture
def make_folder(tmp_path):
    """Function that makes a folder like the released archives, without the checkpoint."""

    def make(pieces, heads):
        folder = tmp_path / "spanbert_tiny"
        folder.mkdir()
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
        (folder / "bert_config.json").write_text(json.dumps({"num_attention_heads": heads, "hidden_act": "gelu"}))
        (folder / "checkpoint").write_text('model_checkpoint_path: "/where/it/was/trained/model-57000"\n')
        return folder

    return make


@pytest.fixture(scope="module")
def resolver(toy_tokenizer, randomize):
    """A small resolver of random weights, with the settings of a conversion; 16 positions, segments of 10."""
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=16, tokenizer=toy_tokenizer)
    model = SpanBertCoreferenceResolver(
        encoder, segment_length=10, candidates="pieces", default_genre="bc", max_segment_distance=4, **TASK
    )
    randomize(model, scale=0.4)
    return model


@pytest.fixture(scope="module")
def variables(resolver, google_variables):
    """The resolver's weights as the research code's variables."""
    tensors = from_model(resolver.encoder).tensors
    found = google_variables({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    return found | {name: values(resolver, path) for name, (_, path) in PLACES.items()}


@pytest.fixture
def folder(make_folder, toy_pieces):
    return make_folder(toy_pieces, 2)


def values(model, path):
    return keras.ops.convert_to_numpy(operator.attrgetter(path)(model))


def converted(folder, *flags):
    """Runs the program on a folder and returns the resolver that it wrote."""
    destination = folder.parent / "resolver.keras"
    arguments = [f"--source={folder}", f"--destination={destination}", *flags]
    program.run(convert.main, convert.Config, arguments)
    model = keras.saving.load_model(destination)
    assert type(model) is SpanBertCoreferenceResolver
    return model


@pytest.mark.parametrize("name", ["a", "b"])
def test_released_weights_give_the_released_codes_scores(coreference_golden, google_variables, make_folder, name):
    arrays = coreference_golden.arrays[name]
    bert = {f"bert.{key[7:]}": array for key, array in arrays.items() if key.startswith("w/bert/")}
    task = {theirs: arrays[f"w/task/{key}"] for theirs, (key, _) in PLACES.items()}
    assert len(task) + len(bert) == len([key for key in arrays if key.startswith("w/")])
    folder = make_folder(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(55))], 2)
    save(folder, google_variables(bert) | task)
    model = converted(folder, "--segment_length=20")

    sizes = {"max_segment_distance": coreference_golden.facts["documents"][name]["config"]["max_training_segments"]}
    config = model.get_config()
    assert {key: config[key] for key in (*TASK, *sizes)} == TASK | sizes
    for theirs, (_, path) in PLACES.items():
        np.testing.assert_array_equal(values(model, path), task[theirs], err_msg=theirs)
    for key, value in from_model(model.encoder).tensors.items():
        np.testing.assert_array_equal(value, bert[key], err_msg=key)

    model.coarse_antecedents.max_antecedents = 6  # that of the golden documents; no weight contains it
    exact = coreference_golden.expected(arrays)
    found = coreference_golden.computed(model, coreference_golden.make_batch(arrays))
    assert found.spans == exact.spans
    np.testing.assert_array_equal(found.antecedents, exact.antecedents)
    np.testing.assert_allclose(found.mentions, exact.mentions, atol=2e-5)
    np.testing.assert_allclose(found.scores, exact.scores, atol=2e-5)
    assert found.loss == pytest.approx(exact.loss, abs=5e-5)


def test_a_converted_resolver_equals_the_original(resolver, variables, folder, capsys):
    save(folder, variables)
    stored = dict(tf.train.list_variables(str(folder / PREFIX)))
    slots = {"output_weights/Adam", "coref_layer/f/output_bias/Adam_1", "global_step", "beta1_power", "beta2_power"}
    assert {*slots, "bert/encoder/layer_0/output/dense/kernel/adam_v"} < stored.keys()
    model = converted(folder, "--segment_length=10")
    assert "Unknown" not in (said := capsys.readouterr().out)
    assert "heads: coreference_resolver." in said and "Segments: 10 word pieces." in said and "tanh" not in said
    settings = [one.get_config() for one in (resolver, model)]
    for config in settings:
        del config["encoder"], config["name"]
    assert settings[0] == settings[1]
    for ours, theirs in zip(resolver.weights, model.weights, strict=True):
        if "seed_generator" not in ours.path:
            assert ours.path == theirs.path
            np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)), err_msg=ours.path)
    tokens = [f"w{i % 7}" for i in range(40)]
    documents = [one.resolve(tokens=tokens, sentences=[(0, 20), (20, 40)]) for one in (resolver, model)]
    assert documents[0].token_clusters == documents[1].token_clusters != ()


def test_a_source_without_segment_length_gets_a_default_with_a_note(variables, folder, capsys):
    write(folder, variables)
    model = converted(folder)
    assert model.segments.segment_length == 16 and model.segments.candidates == "pieces"
    printed = capsys.readouterr().out
    length = "Segments have 16 word pieces, the number of the encoder's positions; --segment_length overrides it"
    genres = "genres bc bn mz nw pt tc wb, bc for a document without"
    for words in (length, genres, "If this is a published file", "parts of words may begin and end"):
        assert words in printed
    assert load_pretrained(folder, max_sequence_length=12).segments.segment_length == 12
    assert type(load_pretrained(folder, "encoder")) is SpanBertEncoder


@pytest.mark.parametrize(
    "width, rows, positions, length",
    [(768, 3, 512, 384), (1024, 3, 512, 512), (768, 11, 512, 128), (768, 4, 512, 512), (768, 3, 300, 300)],
)
def test_released_sizes_have_the_released_segment_length(width, rows, positions, length):
    span = 3 * width + 20
    sizes = {"D": width, "F": 20, "W": 30, "R": rows, "H": 3000, "G": span, "2G": 2 * span, "P": 3 * span + 80}
    shapes = {name: [int(sizes.get(s, s)) for s in letters.split()] for name, (_, letters) in VARIABLES.items()}
    assert shapes["coref_layer/slow_antecedent_scores/hidden_weights_0"][0] == {768: 7052, 1024: 9356}[width]
    assert sum(map(np.prod, shapes.values())) == {768: 44_416_209, 1024: 66_112_465}[width] + 20 * (rows - 3)
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    made = with_coreference(Checkpoint(tensors, {"hidden_dim": width, "max_sequence_length": positions}), "x")
    assert made.refusal == "" and made.head_settings["segment_length"] == length
    assert ("as in the released model" in made.notes[-1]) == (length < positions)
    assert "50 antecedents per span among the 3,900 before it" in made.notes[-1] and "dropout 0.3" in made.notes[-1]
    defaults = inspect.signature(SpanBertCoreferenceResolver).parameters.keys() - {"encoder", "kwargs"}
    assert made.head_settings.keys() == defaults  # none depends on our defaults
    assert made.head_settings["max_segment_distance"] == rows and made.head_settings["max_span_width"] == 30


def without(variables, *names):
    return {name: value for name, value in variables.items() if name not in names}


def other(variables, **shapes):
    """Returns variables, some with another shape; keyword names have `__` for each slash."""
    return variables | {name.replace("__", "/"): np.ones(shape, "float32") for name, shape in shapes.items()}


REFUSED = {
    "one is missing": (
        lambda v: without(v, "output_bias"),
        r"lacks 1 of its 27 variables \(output_bias\)\. Expected: those of the re",
    ),
    "a switch was off": (
        lambda v: without(v, *(name for name in v if "width" in name and name != "span_width_embeddings")),
        r"lacks 5 of its 27 variables \(span_width_prior_embeddings, .*, 1 more\)",
    ),
    "overlap": (
        lambda v: other(v, combo__output_weights=(16, 8), combo__output_bias=(8,)),
        r"overlap variant.*Expected: the independent variant. Received: combo/output_bias, combo/output_weights",
    ),
    "deeper": (
        lambda v: other(v, mention_scores__hidden_weights_1=(12, 12), mention_scores__hidden_bias_1=(12,)),
        r"several hidden layers\. Expected: one .* Received: mention_scores/hidden_weights_1\.",
    ),
    "genres": (lambda v: other(v, genre_embeddings=(8, 4)), r"genre_embeddings \(7, 4\), received \(8, 4\)\."),
    "transposed": (
        lambda v: other(v, mention_scores__output_weights=(1, 12)),
        r"do not fit together.* BERT 8 wide.*: mention_scores/output_weights \(12, 1\), received \(1, 12\)\.",
    ),
    "another BERT's": (
        lambda v: other(v, mention_word_attn__output_weights=(9, 1)),
        r"mention_word_attn/output_weights \(8, 1\), received \(9, 1\)",
    ),
    "axes": (lambda v: other(v, span_width_embeddings=(5,)), r"span_width_embeddings \(5, 0\), received \(5,\)"),
    "nothing": (lambda v: other(v, **{SEGMENTS.replace("/", "__"): (0, 4)}), r"\(0, 4\), received \(0, 4\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_variables_that_do_not_fit_are_rejected_in_one_line(variables, folder, case, capsys):
    change, words = REFUSED[case]
    write(folder, change(variables))
    with pytest.raises(InputError, match=words) as caught:
        open_source(folder)
    said = str(caught.value)
    assert said.startswith(f"{folder / PREFIX} cannot become a coreference resolver: ") and "\n" not in said
    assert said.endswith("convert --allow_mismatch loads only the encoder.")
    with pytest.raises(SystemExit) as ended:
        program.run(convert.main, convert.Config, [f"--source={folder}", f"--destination={folder}.keras"])
    assert ended.value.code == 1 and not os.path.exists(f"{folder}.keras")
    assert "Traceback" not in capsys.readouterr().err
    checkpoint = open_source(folder, allow_mismatch=True)
    assert checkpoint.all_heads == [] and checkpoint.refusal in checkpoint.notes
    assert type(load_pretrained(folder, allow_mismatch=True)) is SpanBertEncoder


def test_a_variable_of_another_model_is_unknown(variables, folder):
    write(folder, other(variables, coref_layer__entity_emb=(3, 4)))
    with pytest.raises(InputError, match=r"1 are unknown \(coref_layer/entity_emb\)"):
        open_source(folder)
    assert open_source(folder, allow_mismatch=True).task == "coreference_resolver"


def test_a_classifiers_output_is_not_taken_for_coreference():
    assert not holds_coreference(["bert/pooler/dense/kernel", "output_weights", "output_bias"])
    for name in VARIABLES.keys() - {"output_weights", "output_bias"}:
        assert holds_coreference([name])
    assert VARIABLES.keys() == PLACES.keys()
