"""Small checkpoints in the forms of other programs, and BERT with both heads in NumPy float64."""

import json
import math
import re

import numpy as np
import pytest

from spanbert_keras.conversion.formats.tokenizer_files import read_tokenizer_files
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"[unused{i}]" for i in range(3)), "The", "a", "##s"]
PIECES += [f"w{i}" for i in range(29)]
SIZES = {"layers": 2, "width": 12, "heads": 3, "inner": 20, "positions": 16}
ERF = np.vectorize(math.erf)


@pytest.fixture(scope="session")
def pieces():
    """List of 40 cased pieces, three of them [unusedN]."""
    return list(PIECES)


@pytest.fixture(scope="session")
def transformers():
    """The library, without its progress bars."""
    library = pytest.importorskip("transformers", reason="the independent BERT is that of transformers")
    pytest.importorskip("torch", reason="the independent BERT computes with torch")
    library.utils.logging.disable_progress_bar()
    return library


@pytest.fixture
def make_bert(transformers, tmp_path):
    """Function that saves a random BERT of transformers with a vocabulary; returns (folder, model in evaluation mode).

    Arguments: the class' name, `half` for float16, others for `BertConfig`.
    """
    import torch

    def make(name="hf", kind="BertForMaskedLM", half=False, seed=0, max_shard_size="5GB", **changes):
        torch.manual_seed(seed)
        config = {
            "vocab_size": len(PIECES),
            "hidden_size": 12,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "intermediate_size": 20,
            "max_position_embeddings": 16,
        }
        model = getattr(transformers, kind)(transformers.BertConfig(**(config | changes))).eval()
        for parameter in model.parameters():
            parameter.data.normal_(0.0, 0.3)
        model = model.half() if half else model
        folder = tmp_path / name
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
        return folder, model

    return make


@pytest.fixture(scope="session")
def rows():
    """Encoder inputs (B, T) = (3, 9): a full row, a padded one, one with segments."""
    random = np.random.default_rng(3)
    mask, segments = np.ones((2, 3, 9), "int32")
    mask[1, 6:] = 0
    segments[:2] = 0
    segments[2, :4] = 0
    ids = random.integers(5, len(PIECES), (3, 9)).astype("int32")
    return {"token_ids": ids, "segment_ids": segments, "padding_mask": mask}


@pytest.fixture(scope="session")
def masked(rows):
    """Inputs of a pretrainer: `rows`, positions (B, M) = (3, 4) and those of pairs (B, P) = (3, 2)."""
    positions = {
        "mask_positions": [[1, 2, 4, 0], [2, 3, 4, 0], [5, 6, 7, 1]],
        "left_positions": [[0, 0, 3, 0], [1, 1, 1, 0], [4, 4, 4, 0]],
        "right_positions": [[3, 3, 5, 0], [5, 5, 5, 0], [8, 8, 8, 2]],
        "span_offsets": [[0, 1, 0, 0], [0, 1, 2, 0], [0, 1, 2, 0]],
        "pair_positions": [[0, 4], [0, 0], [0, 7]],
    }
    return rows | {name: np.array(value, "int32") for name, value in positions.items()}


@pytest.fixture(scope="session")
def bert_outputs():
    """Function that returns what a model of transformers makes of `rows`, float64."""
    import torch

    def compute(model, rows):
        names = {"token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask"}
        inputs = {theirs: torch.tensor(rows[ours]).long() for ours, theirs in names.items()}
        with torch.no_grad():
            found = model.float()(**inputs)
        return np.asarray(found[0], np.float64)

    return compute


@pytest.fixture(scope="session")
def research_state():
    """Function that makes the tensors of the research code's `model.pt`: NumPy arrays by name."""

    def make(seed=0, position_rows=15, prefix="decoder."):
        random, width, inner, size = np.random.default_rng(seed), SIZES["width"], SIZES["inner"], len(PIECES)
        shapes = {
            "bert.embeddings.word_embeddings.weight": (size, width),
            "bert.embeddings.position_embeddings.weight": (SIZES["positions"], width),
            "bert.embeddings.token_type_embeddings.weight": (2, width),
            "bert.embeddings.LayerNorm.gamma": (width,),
            "bert.embeddings.LayerNorm.beta": (width,),
            "bert.pooler.dense.weight": (width, width),
            "bert.pooler.dense.bias": (width,),
            "cls.predictions.bias": (size,),
            "cls.pair_target_predictions.bias": (size,),
            "cls.pair_target_predictions.position_embeddings.weight": (position_rows, 7),
        }
        dense = {
            "cls.predictions.transform.dense": (width, width),
            "cls.pair_target_predictions.mlp_layer_norm.linear1": (width, 2 * width + 7),
            "cls.pair_target_predictions.mlp_layer_norm.linear2": (width, width),
        }
        norms = ["cls.predictions.transform.LayerNorm"]
        norms += [f"cls.pair_target_predictions.mlp_layer_norm.layer_norm{i}" for i in (1, 2)]
        for i in range(SIZES["layers"]):
            layer = f"bert.encoder.layer.{i}"
            dense |= {f"{layer}.attention.self.{part}": (width, width) for part in ("query", "key", "value")}
            dense |= {f"{layer}.attention.output.dense": (width, width), f"{layer}.intermediate.dense": (inner, width)}
            dense[f"{layer}.output.dense"] = (width, inner)
            norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name, shape in dense.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        for name in norms:
            shapes |= {f"{name}.gamma": (width,), f"{name}.beta": (width,)}
        state = {name: random.normal(0.0, 0.3, shape).astype(np.float32) for name, shape in sorted(shapes.items())}
        for head in ("predictions", "pair_target_predictions"):
            state[f"cls.{head}.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
        return {f"{prefix}{name}": value for name, value in state.items()}

    return make


@pytest.fixture(scope="session")
def save_torch():
    """Function that writes a dict of arrays (nested too) with `torch.save`."""
    torch = pytest.importorskip("torch", reason="the research code's files are pickles of torch")

    def as_tensors(value):
        if isinstance(value, dict):
            return {key: as_tensors(entry) for key, entry in value.items()}
        return torch.tensor(value) if isinstance(value, np.ndarray) else value

    def save(state, path, **settings):
        torch.save(as_tensors(state), path, **settings)
        return path

    return save


@pytest.fixture
def make_encoder(randomize, pieces):
    """Function that makes an encoder of one small block full of noise; arguments replace the encoder's."""

    from spanbert_keras import SpanBertEncoder, SpanBertTokenizer

    def make(**changes):
        sizes = {"num_layers": 1, "num_heads": 3, "hidden_dim": 12, "intermediate_dim": 20, "num_segments": 4}
        sizes |= {"vocabulary_size": len(pieces), "max_sequence_length": 24, "tokenizer": SpanBertTokenizer(pieces)}
        encoder = SpanBertEncoder(**(sizes | changes))
        randomize(encoder)
        return encoder

    return make


@pytest.fixture
def make_pretrainer(make_encoder, randomize):
    """Function that makes a small pretrainer full of noise; arguments but the first are its encoder's."""

    from spanbert_keras import SpanBertPretrainer

    def make(next_sentence=False, **changes):
        encoder, sizes = make_encoder(**changes), {"max_span_positions": 4, "position_dim": 5}
        pretrainer = SpanBertPretrainer(encoder, next_sentence=next_sentence, **sizes)
        randomize(pretrainer)
        return pretrainer

    return make


@pytest.fixture(scope="session")
def rows_for(masked):
    """Function of (model, batch, times): the model's inputs from the first `batch` rows of `masked`, repeated."""
    return lambda model, batch, times: {name: np.tile(masked[name][:batch], (1, times)) for name in model.input_keys}


def norm(x, state, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return x * state[f"{name}.gamma"] + state[f"{name}.beta"]


def dense(x, state, name):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def gelu(x):
    return 0.5 * x * (1.0 + ERF(x / math.sqrt(2.0)))


def attend(x, state, name, mask, heads):
    """Multi-head attention (Vaswani et al., 2017) of (B, T, D); `mask` (B, T)."""
    batch, length, width = x.shape
    parts = [
        dense(x, state, f"{name}.self.{part}").reshape(batch, length, heads, -1).transpose(0, 2, 1, 3)
        for part in ("query", "key", "value")
    ]
    scores = parts[0] @ parts[1].transpose(0, 1, 3, 2) / math.sqrt(width // heads)
    scores = np.where(mask[:, None, None, :] > 0, scores, -1e30)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (weights / weights.sum(-1, keepdims=True)) @ parts[2]
    return dense(mixed.transpose(0, 2, 1, 3).reshape(batch, length, width), state, f"{name}.output.dense")


@pytest.fixture(scope="session")
def oracle():
    """Function of (research state, inputs) that returns MLM and SBO logits, (B, M, V) each, in float64.

    BERT as Devlin et al. (2019) have it; both heads as section 3 and 4.2 of Joshi et al. (2020).
    """

    def compute(state, inputs, heads=SIZES["heads"]):
        state = {name.removeprefix("decoder."): value.astype(np.float64) for name, value in state.items()}
        words = state["bert.embeddings.word_embeddings.weight"]
        x = words[inputs["token_ids"]] + state["bert.embeddings.token_type_embeddings.weight"][inputs["segment_ids"]]
        x = norm(
            x + state["bert.embeddings.position_embeddings.weight"][: x.shape[1]], state, "bert.embeddings.LayerNorm"
        )
        for i in range(SIZES["layers"]):
            layer = f"bert.encoder.layer.{i}"
            attended = attend(x, state, f"{layer}.attention", inputs["padding_mask"], heads)
            x = norm(x + attended, state, f"{layer}.attention.output.LayerNorm")
            inner = gelu(dense(x, state, f"{layer}.intermediate.dense"))
            x = norm(x + dense(inner, state, f"{layer}.output.dense"), state, f"{layer}.output.LayerNorm")
        pick = lambda name: np.take_along_axis(x, inputs[name][..., None], 1)  # noqa: E731
        head = "cls.predictions"
        h = norm(
            gelu(dense(pick("mask_positions"), state, f"{head}.transform.dense")), state, f"{head}.transform.LayerNorm"
        )
        masked_lm = h @ words.T + state[f"{head}.bias"]
        head = "cls.pair_target_predictions"
        table = state[f"{head}.position_embeddings.weight"]
        position = table[np.minimum(inputs["span_offsets"], len(table) - 1)]
        h = np.concatenate([pick("left_positions"), pick("right_positions"), position], -1)
        for number in (1, 2):
            name = f"{head}.mlp_layer_norm"
            h = norm(gelu(dense(h, state, f"{name}.linear{number}")), state, f"{name}.layer_norm{number}")
        return masked_lm, h @ words.T + state[f"{head}.bias"]

    return compute


@pytest.fixture(scope="session")
def google_variables():
    """Function that gives NumPy arrays under Hugging Face's names the names and layout of TensorFlow 1's variables."""

    def rename(name):
        for ours, theirs in (
            (r"_embeddings\.weight$", "_embeddings"),
            (r"LayerNorm\.weight$", "LayerNorm/gamma"),
            (r"LayerNorm\.bias$", "LayerNorm/beta"),
            (r"\.weight$", "/kernel"),
            (r"layer\.(\d+)", r"layer_\1"),
            (r"^cls\.predictions\.bias$", "cls/predictions/output_bias"),
            (r"\.", "/"),
        ):
            name = re.sub(ours, theirs, name)
        return name

    def convert(state):
        renamed = {rename(name): value for name, value in state.items()}
        return {name: value.T if name.endswith("kernel") else value for name, value in renamed.items()}

    return convert


# Folders of tokenizers, for the tests that compare with transformers and the tokenizers library.


def write_tokenizer(folder, pieces, config=None, special_map=None, added=None):
    """Writes a folder in the old form: vocab.txt and small JSON files."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{p}\n" for p in pieces), encoding="utf-8", newline="\n")
    files = {"tokenizer_config.json": config, "special_tokens_map.json": special_map, "added_tokens.json": added}
    for name, value in files.items():
        if value is not None:
            (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def bert_tokenizer_folder(folder, pieces):
    """Writes an uncased tokenizer that transformers takes for BERT's."""
    write_tokenizer(folder, pieces, {"do_lower_case": True, "tokenizer_class": "BertTokenizer"})
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return folder


def put_beside(folder, pieces):
    """Writes an uncased tokenizer into the folder of a model."""
    config = json.loads((folder / "config.json").read_text())
    bert_tokenizer_folder(folder, pieces)
    (folder / "config.json").write_text(json.dumps(config))


def ours_of(folder):
    """Returns our tokenizer of a folder."""
    files = read_tokenizer_files(folder)
    return SpanBertTokenizer(files.vocabulary, lowercase=bool(files.lowercase), **files.settings)


def theirs_of(transformers, folder):
    """Returns transformers' tokenizer of a folder; for it a literal [MASK] is special, so no text may hold one."""
    return transformers.AutoTokenizer.from_pretrained(folder)


def ids(tokenizer, texts):
    """Returns what a tokenizer of transformers makes of texts."""
    return tokenizer(texts, add_special_tokens=False)["input_ids"]
