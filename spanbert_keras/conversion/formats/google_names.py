"""Names and layouts of Google's BERT variables. Shape letters: D hidden_dim, H heads, K = D / H."""

import os
import re
from collections.abc import Iterable, Mapping

import numpy as np

from spanbert_keras.errors import InputError

VARIABLE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # of every variable's key in an object-based checkpoint
EMBEDDING_KINDS, NORM_KINDS, DENSE_KINDS = (
    {"embeddings": "weight"},
    {"gamma": "weight", "beta": "bias"},
    {"kernel": "weight", "bias": "bias"},
)

# TensorFlow 1: keys are variable names (google-research/bert).
NAMED = re.compile(
    r"(bert/(?:embeddings/LayerNorm|pooler/dense|encoder/layer_\d+/(?:attention/self/(?:query|key|value)"
    r"|(?:attention/)?output/(?:dense|LayerNorm)|intermediate/dense))|cls/predictions/transform/(?:dense|LayerNorm))"
    r"/(kernel|bias|gamma|beta)"
)
IRREGULAR_NAMES = {
    "bert/embeddings/word_embeddings": "bert.embeddings.word_embeddings.weight",
    "bert/embeddings/position_embeddings": "bert.embeddings.position_embeddings.weight",
    "bert/embeddings/token_type_embeddings": "bert.embeddings.token_type_embeddings.weight",
    "cls/predictions/output_bias": "cls.predictions.bias",
    "cls/seq_relationship/output_weights": "cls.seq_relationship.weight",  # [2, D] already
    "cls/seq_relationship/output_bias": "cls.seq_relationship.bias",
}
# Adam and LAMB of google-research/bert and of TensorFlow 1: `.../kernel/adam_m`, `.../kernel/LAMBOptimizer_1`.
NAMED_SLOT = re.compile(r".*/(?:adam|lamb)(?:weightdecay)?(?:optimizer)?(?:_[mv1])?", re.IGNORECASE)
NAMED_SLOT_OF_A_VARIABLE = re.compile(r"(.*)/(?:[mv]|Momentum)")

# TensorFlow 2: keys are paths of attributes (TF Model Garden, official/nlp/modeling).
BLOCK = re.compile(r"((?:.*/)?)(layer_with_weights-|_transformer_layers/)(\d+)/_attention_layer/_query_dense/kernel")
FIRST_BLOCK = {"layer_with_weights-": 4, "_transformer_layers/": 0}  # a functional encoder numbers all its layers
IN_BLOCK = {
    "_attention_layer/_query_dense": "attention.self.query",
    "_attention_layer/_key_dense": "attention.self.key",
    "_attention_layer/_value_dense": "attention.self.value",
    "_attention_layer/_output_dense": "attention.output.dense",
    "_attention_output_dense": "attention.output.dense",  # where it was before the summer of 2020
    "_attention_layer_norm": "attention.output.LayerNorm",
    "_intermediate_dense": "intermediate.dense",
    "_output_dense": "output.dense",
    "_output_layer_norm": "output.LayerNorm",
}
BEFORE_BLOCKS = {  # functional BertEncoder, and BertEncoderV2, whose layers are attributes
    "layer_with_weights-0": "bert.embeddings.word_embeddings",
    "layer_with_weights-1": "bert.embeddings.position_embeddings",
    "layer_with_weights-2": "bert.embeddings.token_type_embeddings",
    "layer_with_weights-3": "bert.embeddings.LayerNorm",
    "_embedding_layer": "bert.embeddings.word_embeddings",
    "_position_embedding_layer": "bert.embeddings.position_embeddings",
    "_type_embedding_layer": "bert.embeddings.token_type_embeddings",
    "_embedding_norm_layer": "bert.embeddings.LayerNorm",
}
POOLER, NEXT_SENTENCE = "bert.pooler.dense", "cls.seq_relationship"
# Layers of the next-sentence head: in BertPretrainerV2, in its `checkpoint_items`, in the functional BertPretrainer.
HEAD_POOLER = re.compile(r"(?:.*/)?(?:next_sentence\.pooler_dense|classification_heads/0/dense)")
HEAD_LOGITS = re.compile(r"(?:.*/)?(?:classification_heads/0/out_proj|layer_with_weights-1/layer_with_weights-0)")

BOOKKEEPING = re.compile(
    r"_CHECKPOINTABLE_OBJECT_GRAPH|.*/\.OPTIMIZER_SLOT/.*|(?:.*/)?(?:optimizer|keras_api)/.*"
    r"|(?:.*/)?(?:global_step|save_counter|beta[12]_power)(?:/\.ATTRIBUTES/.*)?"
)

Shapes = Mapping[str, Iterable[int]]  # shapes of variables, by key or by path
Stems = dict[str, str | None]  # a layer's path -> its Hugging Face name; `None`: a copy to leave out


def names_by_key(shapes: Shapes, prefix: str | os.PathLike) -> dict[str, str]:
    """Returns the Hugging Face name of every variable of a checkpoint, by its key.

    A variable that is not part of BERT keeps its key as its name. Optimizer state, step counters and the object graph
    are left out. `BertPretrainerV2` trains a separate pooler for the next-sentence head, which is used instead of the
    encoder's.

    Args:
        shapes: dict from every key of the checkpoint to its shape.
        prefix: path of the checkpoint, for messages.

    Returns:
        dict from keys, in alphabetical order, to names.

    Raises:
        InputError: there are several encoders or masked-LM heads.
    """
    keys = sorted(key for key in shapes if not _is_bookkeeping(key, shapes))
    stems = _stems({_path(key): shapes[key] for key in keys if key.endswith(VARIABLE_SUFFIX)}, prefix)
    names: dict[str, str] = {}
    owners: dict[str, str] = {}  # name -> key
    for key in keys:
        name = _object_based(key, stems) if key.endswith(VARIABLE_SUFFIX) else _name_based(key)
        if name is None:
            continue
        if name in owners:
            raise InputError(
                f"The TensorFlow checkpoint {prefix} holds {name} twice, as {owners[name]} and as {key}. "
                "Expected: the checkpoint of one BERT."
            )
        names[key], owners[name] = name, key
    return names


def torch_layout(key: str, name: str, value: np.ndarray) -> np.ndarray:
    """Returns a variable in torch's layout.

    Args:
        key: str. Its key in the checkpoint.
        name: str. Its Hugging Face name.
        value: array. A kernel is (in, out) or, with a separate axis for heads, (D, H, K); (H, K, D) in the projection
            after the attention. A bias may be (H, K).

    Returns:
        Array. Kernels become `[out, in]`, biases get one axis; other variables are unchanged.
    """
    if name == key:
        return value
    kind = _path(key).rpartition("/")[2]
    if kind == "kernel":
        if ".attention.output." in name:
            value = value.reshape(-1, value.shape[-1])  # (H, K, D) -> (D, D)
        return np.ascontiguousarray(value.reshape(len(value), -1).T)  # (D, H, K) -> (D, D)
    return value.reshape(-1) if kind == "bias" else value


def heads_of(shapes: Shapes) -> int | None:
    """Returns the number of attention heads if the shapes determine it: Model Garden's query kernels are (D, H, K)."""
    for key, shape in shapes.items():
        if BLOCK.fullmatch(_path(key)) and len(list(shape)) == 3:
            return int(list(shape)[1])
    return None


def _is_bookkeeping(key: str, keys: Shapes) -> bool:
    """Returns whether a key is not a weight of the model but optimizer state, a counter or the object graph."""
    if BOOKKEEPING.fullmatch(key):
        return True
    if "/.ATTRIBUTES/" in key:
        return not key.endswith(VARIABLE_SUFFIX)  # e.g. a layer's settings
    of_a_variable = NAMED_SLOT_OF_A_VARIABLE.fullmatch(key)
    return bool(NAMED_SLOT.fullmatch(key)) or of_a_variable is not None and of_a_variable[1] in keys


def _path(name: str) -> str:
    """Returns the path that an object-based key stands for; TensorFlow writes `.` as `..` and `/` in a name as `.S`."""
    return re.sub(r"\.([.S])", lambda match: "." if match[1] == "." else "/", name.removesuffix(VARIABLE_SUFFIX))


def _name(stem: str, kind: str) -> str | None:
    """Returns the name of a layer's variable, `None` if that kind of layer has no such variable."""
    kinds = DENSE_KINDS
    if stem.endswith("_embeddings"):
        kinds = EMBEDDING_KINDS
    elif stem.endswith("LayerNorm"):
        kinds = NORM_KINDS
    return f"{stem}.{kinds[kind]}" if kind in kinds else None


def _name_based(key: str) -> str:
    """Returns the Hugging Face name of a TensorFlow 1 variable, or its own name if there is no counterpart."""
    match = NAMED.fullmatch(key)
    if match is None:
        return IRREGULAR_NAMES.get(key, key)
    stem = re.sub(r"/layer_(\d+)/", r"/layer/\1/", match[1]).replace("/", ".")
    return _name(stem, match[2]) or key


def _object_based(key: str, stems: Stems) -> str | None:
    """Returns the Hugging Face name of an object-based key, the key if there is no counterpart, `None` for a copy."""
    path = _path(key)
    if path in stems:  # a variable of the masked-LM head itself
        return stems[path]
    layer, _, kind = path.rpartition("/")
    if layer not in stems:
        return key
    stem = stems[layer]
    return None if stem is None else _name(stem, kind) or key


def _stems(shapes: Shapes, prefix: str | os.PathLike) -> Stems:
    """Returns the Hugging Face names of an object-based checkpoint's layers, from its variables' shapes by path."""
    stems = _encoder_stems(shapes, prefix)
    stems |= _masked_lm_stems(shapes, stems, prefix)
    if any(name == "cls.predictions.bias" for name in stems.values()):
        stems |= _next_sentence_stems(shapes, stems)
    return stems


def _encoder_stems(paths: Iterable[str], prefix: str | os.PathLike) -> Stems:
    """Returns the names of the encoder's layers: embeddings, blocks, pooler."""
    matches = [match for match in map(BLOCK.fullmatch, paths) if match]
    roots = sorted({match[1] for match in matches})
    if not roots:
        return {}
    root = _single_root(roots, "encoders", prefix)
    stems: Stems = {f"{root}{theirs}": ours for theirs, ours in BEFORE_BLOCKS.items()}
    for _, kind, number in (match.groups() for match in matches):
        block = f"bert.encoder.layer.{int(number) - FIRST_BLOCK[kind]}"
        stems |= {f"{root}{kind}{number}/{theirs}": f"{block}.{ours}" for theirs, ours in IN_BLOCK.items()}
    last = max(int(number) - FIRST_BLOCK[kind] for _, kind, number in (match.groups() for match in matches))
    return stems | {f"{root}layer_with_weights-{last + 5}": POOLER, f"{root}_pooler_layer": POOLER}


def _masked_lm_stems(paths: Iterable[str], encoder: Stems, prefix: str | os.PathLike) -> Stems:
    """Returns the names of the masked-LM head's layers.

    The word embeddings may be stored as its `embedding_table`: a variable with several owners is written once.
    """
    roots = sorted(path.removesuffix("output_bias/bias") for path in paths if path.endswith("/output_bias/bias"))
    if not roots:
        return {}
    root = _single_root(roots, "masked-LM heads", prefix)
    words = "bert.embeddings.word_embeddings"
    in_encoder = any(encoder.get(path.removesuffix("/embeddings")) == words for path in paths)
    return {
        f"{root}output_bias/bias": "cls.predictions.bias",
        f"{root}embedding_table": "cls.predictions.decoder.weight" if in_encoder else f"{words}.weight",
        f"{root}dense": "cls.predictions.transform.dense",
        f"{root}layer_norm": "cls.predictions.transform.LayerNorm",
    }


def _next_sentence_stems(shapes: Shapes, stems: Stems) -> Stems:
    """Returns the names of the next-sentence head's layers: that head is the only one, and has two classes."""
    if any("/classification_heads/1/" in f"/{path}" for path in shapes):
        return {}
    layers = {path.removesuffix("/kernel"): list(shape) for path, shape in shapes.items() if path.endswith("/kernel")}
    found: Stems = {
        layer: NEXT_SENTENCE for layer, shape in layers.items() if HEAD_LOGITS.fullmatch(layer) and shape[1:] == [2]
    }
    poolers = [layer for layer in layers if HEAD_POOLER.fullmatch(layer)]
    if poolers:  # the encoder's pooler was not trained
        found |= {layer: None for layer, name in stems.items() if name == POOLER}
        found |= {layer: POOLER for layer in poolers}
    return found


def _single_root(roots: list[str], what: str, prefix: str | os.PathLike) -> str:
    """Returns the only root; raises if there are several."""
    if len(roots) > 1:
        raise InputError(
            f"The TensorFlow checkpoint {prefix} holds {len(roots)} {what} "
            f"({', '.join(root.rstrip('/') or 'at the top' for root in roots)}). Expected: one. "
            "Save the one you want with tf.train.Checkpoint(encoder=...)."
        )
    return roots[0]
