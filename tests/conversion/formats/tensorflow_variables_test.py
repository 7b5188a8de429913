"""Google's checkpoints, written here by TensorFlow in Google's variable names. D hidden_dim, H heads, K = D / H.

A BERT full of noise is kept under TensorFlow 1's names. Model Garden's kernels are those of TensorFlow 1 with the heads
on an axis of their own: (D, H, K) for query, key and value, (H, K, D) for the projection after them.
"""

import math
import os
import shutil
import sys

import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder
from spanbert_keras.conversion.formats.tensorflow_variables import (
    attention_heads,
    find_tensorflow_checkpoint,
    read_tensorflow_variables,
)
from spanbert_keras.conversion.hugging_face_names import encoder_table
from spanbert_keras.errors import InputError

tf = pytest.importorskip("tensorflow", reason="TensorFlow writes the checkpoints that are read here")

V, D, H, INNER, LAYERS, T, SEGMENTS = 21, 12, 3, 20, 2, 9, 4
SIZES = {"vocab_size": V, "hidden_size": D, "num_attention_heads": H, "type_vocab_size": SEGMENTS}
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# In a block, TensorFlow 1's layer -> (its kernel's shape, Model Garden's attribute, Hugging Face's name).
DENSE = {
    "attention/self/query": ((D, D), "_attention_layer/_query_dense", "attention.self.query"),
    "attention/self/key": ((D, D), "_attention_layer/_key_dense", "attention.self.key"),
    "attention/self/value": ((D, D), "_attention_layer/_value_dense", "attention.self.value"),
    "attention/output/dense": ((D, D), "_attention_layer/_output_dense", "attention.output.dense"),
    "intermediate/dense": ((D, INNER), "_intermediate_dense", "intermediate.dense"),
    "output/dense": ((INNER, D), "_output_dense", "output.dense"),
}
NORMS = {
    "attention/output/LayerNorm": ("_attention_layer_norm", "attention.output.LayerNorm"),
    "output/LayerNorm": ("_output_layer_norm", "output.LayerNorm"),
}
# Attributes of Model Garden's two encoders for words, positions, segments, norm, block i, pooler.
FUNCTIONAL = tuple(f"layer_with_weights-{place}" for place in (0, 1, 2, 3, "{}", 4 + LAYERS))
ATTRIBUTES = (
    *(f"_{name}_layer" for name in ("embedding", "position_embedding", "type_embedding", "embedding_norm")),
    "_transformer_layers/{}",
    "_pooler_layer",
)


@pytest.fixture(scope="module")
def both():
    """Variables of a BERT with both heads, under TensorFlow 1's names and, in torch's layout, Hugging Face's."""
    random, google, hugging_face = np.random.default_rng(0), {}, {}

    def add(name, theirs, shape, mean=0.0):
        google[name] = random.normal(mean, 0.4, shape).astype("float32")
        hugging_face[theirs] = google[name].T if name.endswith("kernel") else google[name]

    def dense(name, theirs, shape):
        add(f"{name}/kernel", f"{theirs}.weight", shape)
        add(f"{name}/bias", f"{theirs}.bias", shape[1:])

    def norm(name, theirs):
        add(f"{name}/gamma", f"{theirs}.weight", D, 1.0)
        add(f"{name}/beta", f"{theirs}.bias", D)

    for name, rows in {"word": V, "position": T + 2, "token_type": SEGMENTS}.items():
        add(f"bert/embeddings/{name}_embeddings", f"bert.embeddings.{name}_embeddings.weight", (rows, D))
    norm("bert/embeddings/LayerNorm", "bert.embeddings.LayerNorm")
    for i in range(LAYERS):
        for name, (shape, _, theirs) in DENSE.items():
            dense(f"bert/encoder/layer_{i}/{name}", f"bert.encoder.layer.{i}.{theirs}", shape)
        for name, (_, theirs) in NORMS.items():
            norm(f"bert/encoder/layer_{i}/{name}", f"bert.encoder.layer.{i}.{theirs}")
    dense("bert/pooler/dense", "bert.pooler.dense", (D, D))
    dense("cls/predictions/transform/dense", "cls.predictions.transform.dense", (D, D))
    norm("cls/predictions/transform/LayerNorm", "cls.predictions.transform.LayerNorm")
    add("cls/predictions/output_bias", "cls.predictions.bias", V)
    add("cls/seq_relationship/output_weights", "cls.seq_relationship.weight", (2, D))
    add("cls/seq_relationship/output_bias", "cls.seq_relationship.bias", 2)
    return google, hugging_face


@pytest.fixture(scope="module")
def bert(both):
    return both[0]


@pytest.fixture(scope="module")
def expected(both):
    return both[1]


def only(state, *beginnings):
    return {name: value for name, value in state.items() if name.startswith(beginnings)}


def check(tensors, expected):
    assert sorted(tensors) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(tensors[name], value, err_msg=name, strict=True)


def garden_encoder(bert, layout, root=""):
    """Variables of Model Garden's encoder by attribute path."""
    words, positions, segments, norm, block, pooler = layout
    embeddings = {words: "word", positions: "position", segments: "token_type"}
    paths = {f"{layer}/embeddings": bert[f"bert/embeddings/{name}_embeddings"] for layer, name in embeddings.items()}
    paths |= {f"{norm}/{leaf}": bert[f"bert/embeddings/LayerNorm/{leaf}"] for leaf in ("gamma", "beta")}
    paths |= {f"{pooler}/{leaf}": bert[f"bert/pooler/dense/{leaf}"] for leaf in ("kernel", "bias")}
    first = 4 if layout is FUNCTIONAL else 0
    for i in range(LAYERS):
        google, garden = f"bert/encoder/layer_{i}", block.format(first + i)
        for name, (_, attribute, _) in DENSE.items():
            kernel, bias = bert[f"{google}/{name}/kernel"], bert[f"{google}/{name}/bias"]
            if "self" in name:
                kernel, bias = kernel.reshape(D, H, -1), bias.reshape(H, -1)
            elif "attention" in name:
                kernel = kernel.reshape(H, -1, D)
            paths |= {f"{garden}/{attribute}/kernel": kernel, f"{garden}/{attribute}/bias": bias}
        for name, (attribute, _) in NORMS.items():
            paths |= {f"{garden}/{attribute}/{leaf}": bert[f"{google}/{name}/{leaf}"] for leaf in ("gamma", "beta")}
    return {f"{root}{path}": value for path, value in paths.items()}


def garden_masked_lm(bert, root):
    """Variables of Model Garden's masked-LM head; `>` stands for a slash inside a name."""
    paths = {f"{root}dense/{kind}": bert[f"cls/predictions/transform/dense/{kind}"] for kind in ("kernel", "bias")}
    norm = {kind: bert[f"cls/predictions/transform/LayerNorm/{kind}"] for kind in ("gamma", "beta")}
    paths |= {f"{root}layer_norm/{kind}": value for kind, value in norm.items()}
    return paths | {f"{root}output_bias>bias": bert["cls/predictions/output_bias"]}


def save_objects(folder, paths):
    """Writes variables by attribute path as `tf.train.Checkpoint` does, and returns the prefix."""

    def node(below):
        if "" in below:
            return tf.Variable(below[""])
        children = {}
        for path, value in below.items():
            first, _, rest = path.partition("/")
            children.setdefault(first.replace(">", "/"), {})[rest] = value
        return tf.train.Checkpoint(**{name: node(child) for name, child in children.items()})

    return node(paths).save(str(folder / "ckpt"))


def save_names(prefix, variables):
    """Writes variables by name, as TensorFlow 1 does, and returns the prefix."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        made = [tf.compat.v1.get_variable(name, initializer=value) for name, value in variables.items()]
        session.run(tf.compat.v1.global_variables_initializer())
        return tf.compat.v1.train.Saver(made).save(session, str(prefix), write_state=False)


def write(prefix, tensors):
    """Writes a checkpoint with just these keys."""
    keys = list(tensors)
    slices, values = [""] * len(keys), [tf.constant(value) for value in tensors.values()]
    prefix.parent.mkdir(parents=True, exist_ok=True)
    tf.raw_ops.SaveV2(prefix=f"{prefix}.part", tensor_names=keys, shape_and_slices=slices, tensors=values)
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[f"{prefix}.part"], destination_prefix=str(prefix))
    return str(prefix)


def google_bert(bert, token_ids, segment_ids, mask):
    """Google's formulas on Google's variables, float64: logits of the masked LM at every position, of next sentence."""
    v = {name: value.astype("float64") for name, value in bert.items()}

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * v[f"{name}/gamma"] + v[f"{name}/beta"]

    def dense(x, name):
        return x @ v[f"{name}/kernel"] + v[f"{name}/bias"]

    def gelu(x):
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))

    words = v["bert/embeddings/word_embeddings"]
    x = words[token_ids] + v["bert/embeddings/position_embeddings"][: token_ids.shape[1]]
    x = norm(x + v["bert/embeddings/token_type_embeddings"][segment_ids], "bert/embeddings/LayerNorm")
    for i in range(LAYERS):
        name = f"bert/encoder/layer_{i}"
        q, k, value = (
            dense(x, f"{name}/attention/self/{part}").reshape(*x.shape[:2], H, D // H)
            for part in ("query", "key", "value")
        )
        scores = np.einsum("bthk,buhk->bhtu", q, k) / np.sqrt(D // H) - 1e4 * (1 - mask)[:, None, None]
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        context = np.einsum("bhtu,buhk->bthk", weights, value).reshape(x.shape)
        x = norm(x + dense(context, f"{name}/attention/output/dense"), f"{name}/attention/output/LayerNorm")
        inner = gelu(dense(x, f"{name}/intermediate/dense"))
        x = norm(x + dense(inner, f"{name}/output/dense"), f"{name}/output/LayerNorm")
    transformed = norm(gelu(dense(x, "cls/predictions/transform/dense")), "cls/predictions/transform/LayerNorm")
    pooled = np.tanh(dense(x[:, 0], "bert/pooler/dense"))
    next_sentence = pooled @ v["cls/seq_relationship/output_weights"].T + v["cls/seq_relationship/output_bias"]
    return transformed @ words.T + v["cls/predictions/output_bias"], next_sentence


def test_tensorflow_1_checkpoints_are_read_name_by_name(bert, expected, tmp_path):
    tensors = read_tensorflow_variables(save_names(tmp_path / "bert_model.ckpt", bert))
    check(tensors, expected)
    assert all(value.flags["C_CONTIGUOUS"] for value in tensors.values())
    assert attention_heads(tmp_path / "bert_model.ckpt") is None


def test_transformers_computes_googles_numbers_with_what_was_read(bert, tmp_path):
    torch = pytest.importorskip("torch", reason="the independent BERT computes with torch")
    transformers = pytest.importorskip("transformers", reason="the independent BERT is that of transformers")
    state = read_tensorflow_variables(save_names(tmp_path / "bert_model.ckpt", bert))
    config = transformers.BertConfig(
        **SIZES, num_hidden_layers=LAYERS, intermediate_size=INNER, max_position_embeddings=T + 2
    )
    model = transformers.BertForPreTraining(config).eval()
    missing, unexpected = model.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    assert unexpected == [] and all("decoder" in name or "_ids" in name for name in missing), missing
    random = np.random.default_rng(1)
    token_ids, segment_ids = random.integers(0, V, (2, T)), random.integers(0, SEGMENTS, (2, T))
    mask = (np.arange(T) < np.array([[T], [6]])).astype("int64")
    with torch.no_grad():
        out = model(*(torch.tensor(rows) for rows in (token_ids, mask, segment_ids)))
    masked_lm, next_sentence = google_bert(bert, token_ids, segment_ids, mask)
    np.testing.assert_allclose(out.prediction_logits.numpy(), masked_lm, atol=3e-5)
    np.testing.assert_allclose(out.seq_relationship_logits.numpy(), next_sentence, atol=3e-5)


@pytest.mark.parametrize(
    "root", ["", "model/", "encoder/", "bert/", "model/encoder_network/", "a/layer_with_weights-0/"]
)
@pytest.mark.parametrize("layout", [FUNCTIONAL, ATTRIBUTES], ids=["BertEncoder", "BertEncoderV2"])
def test_model_gardens_encoders_are_read_at_any_depth(bert, expected, layout, root, tmp_path):
    prefix = save_objects(tmp_path, garden_encoder(bert, layout, root))
    check(read_tensorflow_variables(prefix), only(expected, "bert."))
    assert attention_heads(prefix) == H


@pytest.mark.parametrize("layout", [FUNCTIONAL, ATTRIBUTES], ids=["BertEncoder", "BertEncoderV2"])
@pytest.mark.parametrize("heads", ["all", "checkpoint_items"])
def test_pretrainers_keep_the_word_embeddings_in_the_head(bert, expected, layout, heads, tmp_path):
    root = "model/" if heads == "all" else ""
    paths = garden_encoder(bert, layout, f"{root}{'encoder_network' if root else 'encoder'}/")
    words = next(path for path in paths if path.endswith(f"{layout[0]}/embeddings"))
    pooler = next(path for path in paths if path.endswith(f"{layout[5]}/kernel")).removesuffix("kernel")
    paths[f"{root}masked_lm/embedding_table"] = paths.pop(words)
    paths |= garden_masked_lm(bert, f"{root}masked_lm/")
    head = "model/classification_heads/0/dense/" if root else "next_sentence.pooler_dense/"
    for leaf in ("kernel", "bias"):  # the encoder's own pooler differs and is untrained
        paths |= {f"{head}{leaf}": paths[f"{pooler}{leaf}"], f"{pooler}{leaf}": paths[f"{pooler}{leaf}"] + 1}
    if root:
        logits = {
            "kernel": bert["cls/seq_relationship/output_weights"].T,
            "bias": bert["cls/seq_relationship/output_bias"],
        }
        paths |= {f"model/classification_heads/0/out_proj/{leaf}": value for leaf, value in logits.items()}
    prefix = save_objects(tmp_path, paths)
    check(read_tensorflow_variables(prefix), expected if root else only(expected, "bert.", "cls.predictions."))
    escaped = "next_sentence..pooler_dense/kernel" if not root else "model/masked_lm/output_bias.Sbias"
    assert f"{escaped}{VALUE}" in dict(tf.train.list_variables(prefix))  # how TensorFlow writes such names


def test_the_functional_pretrainer_is_read(bert, expected, tmp_path):
    root = "model/layer_with_weights"
    paths = garden_encoder(bert, FUNCTIONAL, f"{root}-0/") | garden_masked_lm(bert, f"{root}-2/")
    paths[f"{root}-2/embedding_table"] = paths.pop(f"{root}-0/layer_with_weights-0/embeddings")
    paths[f"{root}-1/layer_with_weights-0/kernel"] = bert["cls/seq_relationship/output_weights"].T
    paths[f"{root}-1/layer_with_weights-0/bias"] = bert["cls/seq_relationship/output_bias"]
    check(read_tensorflow_variables(save_objects(tmp_path, paths)), expected)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_other_variables_are_left_out_or_kept_and_the_dtype_is_kept(bert, expected, dtype, tmp_path):
    bert, expected = ({name: value.astype(dtype) for name, value in state.items()} for state in (bert, expected))
    state = {f"{name}/{slot}": value + 1 for name, value in bert.items() for slot in ("adam_m", "adam_v")}
    strange = {"output_weights": np.ones((2, 3), "float32"), "other/dense/kernel": np.ones((2, 3, 4), "float32")}
    prefix = write(tmp_path / "model.ckpt-7", bert | state | strange | {"global_step": np.int64(7)})
    check(read_tensorflow_variables(prefix), expected | strange)


def test_damage_gives_an_error_of_one_sentence(bert, tmp_path):
    good = save_names(tmp_path / "good.ckpt", bert)

    def copy(name):
        for ending in (".index", ".data-00000-of-00001"):
            shutil.copy(good + ending, tmp_path / f"{name}{ending}")
        return str(tmp_path / name), tmp_path / f"{name}.index", tmp_path / f"{name}.data-00000-of-00001"

    prefix, _, data = copy("short")
    os.truncate(data, data.stat().st_size // 2)
    messages = {prefix: "incomplete or damaged .*Read less bytes"}
    prefix, _, data = copy("lost")
    data.unlink()
    messages[prefix] = "incomplete or damaged .*No such file"
    prefix, _, data = copy("flipped")
    content = bytearray(data.read_bytes())
    content[1000] ^= 255
    data.write_bytes(content)
    messages[prefix] = "incomplete or damaged .*Checksum does not match"
    prefix, index, _ = copy("no_index")
    index.write_bytes(b"text")
    messages[prefix] = "incomplete or damaged"
    messages[str(tmp_path / "nothing")] = r"TensorFlow checkpoint .*nothing not found: .*nothing\.index is missing"
    messages[f"{good}.index"] = "Expected: the path of both files without `.index`"
    for prefix, message in messages.items():
        with pytest.raises(InputError, match=message) as caught:
            read_tensorflow_variables(prefix)
        assert prefix in str(caught.value) and "\n" not in str(caught.value)


def test_missing_tensorflow_gives_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert find_tensorflow_checkpoint(tmp_path) is None
    with pytest.raises(InputError, match="which only TensorFlow can read: pip install tensorflow"):
        read_tensorflow_variables(tmp_path / "bert_model.ckpt")


def test_a_folders_checkpoint_is_found(tmp_path):
    assert find_tensorflow_checkpoint(tmp_path) is None
    assert find_tensorflow_checkpoint(tmp_path / "nothing") is None
    one = tmp_path / "bert_model.ckpt"
    (tmp_path / "bert_model.ckpt.index").touch()
    assert find_tensorflow_checkpoint(tmp_path) == str(one) == find_tensorflow_checkpoint(one)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "lost"\n')
    assert find_tensorflow_checkpoint(tmp_path) == str(one)  # the only one
    (tmp_path / "ckpt-10.index").touch()
    with pytest.raises(InputError, match=r"holds 2 TensorFlow checkpoints \(bert_model.ckpt, ckpt-10\)"):
        find_tensorflow_checkpoint(tmp_path)
    state = 'model_checkpoint_path: "{}"\nall_model_checkpoint_paths: "bert_model.ckpt"\n'
    for newest in ("ckpt-10", "/where/it/was/trained/ckpt-10"):
        (tmp_path / "checkpoint").write_text(state.format(newest))
        assert find_tensorflow_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-10")


def test_the_state_file_that_tensorflow_writes_names_the_newest(bert, tmp_path):
    checkpoint = tf.train.Checkpoint(a=tf.Variable(1.0))
    names = [checkpoint.save(str(tmp_path / "ckpt")) for _ in range(2)]
    assert find_tensorflow_checkpoint(tmp_path) == names[-1]


@pytest.mark.parametrize("name", ["BertEncoder", "BertEncoderV2", "BertPretrainerV2"])
@pytest.mark.parametrize("approximate", [False, True], ids=["erf", "tanh"])
def test_model_gardens_own_encoder_computes_the_same_hidden_states(name, approximate, to_numpy, tmp_path):
    reason = "TF Model Garden is not installed: see setup.py, extra model-garden; it needs a separate environment"
    networks = pytest.importorskip("official.nlp.modeling.networks", reason=reason)
    from official.nlp.modeling import models

    def gelu(x):
        return tf.nn.gelu(x, approximate=approximate)  # Model Garden's default is the approximation

    make = getattr(networks, name.replace("PretrainerV2", "EncoderV2"))
    encoder = make(
        **SIZES, num_layers=LAYERS, max_sequence_length=T + 2, inner_dim=INNER, inner_activation=gelu, dict_outputs=True
    )
    encoder(encoder.inputs)
    items = {"encoder": encoder}
    if name == "BertPretrainerV2":
        pretrainer = models.BertPretrainerV2(encoder, mlm_activation=gelu)
        pretrainer(pretrainer.inputs)
        items = {"model": pretrainer, **pretrainer.checkpoint_items}
    random = np.random.default_rng(3)
    for weight in items.get("model", encoder).weights:
        weight.assign(random.normal("gamma" in weight.name, 0.3, weight.shape))
    prefix = tf.train.Checkpoint(**items).save(str(tmp_path / "ckpt"))

    tensors = read_tensorflow_variables(prefix)
    ours = SpanBertEncoder(
        V, LAYERS, attention_heads(prefix), D, INNER, max_sequence_length=T + 2, num_segments=SEGMENTS
    )
    table = encoder_table(LAYERS)
    for weight in (weight for weight in ours.weights if "seed" not in weight.path):
        theirs, transposed = table.pop(weight.path)
        weight.assign(tensors[theirs].T if transposed else tensors[theirs])
    assert not table
    ids, segments = random.integers(0, V, (2, T)), random.integers(0, SEGMENTS, (2, T))
    mask = np.arange(T) < np.array([[T], [6]])
    rows = {"token_ids": ids, "segment_ids": segments, "padding_mask": mask.astype("int32")}
    names = {"input_word_ids": "token_ids", "input_type_ids": "segment_ids", "input_mask": "padding_mask"}
    theirs = encoder({name: tf.constant(rows[key], tf.int32) for name, key in names.items()})["sequence_output"].numpy()
    difference = np.abs(to_numpy(ours(rows)["sequence_output"]) - theirs).max()
    assert 1e-5 < difference < 0.01 if approximate else difference < 1e-5


def test_googles_own_converter_gives_the_same(bert, expected, tmp_path):
    module = "official.nlp.tools.tf2_bert_encoder_checkpoint_converter"
    converter = pytest.importorskip(module, reason="TF Model Garden, which converts between the two, is not installed")
    from official.legacy.bert.configs import BertConfig

    source = save_names(tmp_path / "bert_model.ckpt", bert)
    config = BertConfig(V, D, LAYERS, H, INNER, max_position_embeddings=T + 2, type_vocab_size=SEGMENTS)
    converter.convert_checkpoint(config, str(tmp_path / "new" / "ckpt"), source, "model", "pretrainer")
    prefix = find_tensorflow_checkpoint(tmp_path / "new")
    check(read_tensorflow_variables(prefix), only(expected, "bert.", "cls.predictions."))
