"""Names of BERT's tensors: Hugging Face's, which all readers return, and those of our weights."""

import re
from collections.abc import Collection
from typing import NamedTuple

# Tensors of other programs without a counterpart in our models, unless a head has them; the readers list them.
WITHOUT_PLACE = re.compile(
    r"bert\.embeddings\.(position_ids|token_type_ids)|bert\.pooler\..*|cls\.seq_relationship\..*"
    r"|cls\.predictions\.decoder\.(weight|bias)|cls\.pair_target_predictions\.decoder\.weight"
)
TIED = ("cls.predictions.decoder.weight", "cls.pair_target_predictions.decoder.weight")
WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
POSITION_EMBEDDINGS = "bert.embeddings.position_embeddings.weight"
COREFERENCE = "coreference."  # prefix of the names of the resolver's weights
ENTITIES = "entities."  # of the entity recognizer's
MLM_BIAS = "cls.predictions.bias"
MLM_BIAS_AGAIN = "cls.predictions.decoder.bias"  # its second name in transformers
SBO_BIAS = "cls.pair_target_predictions.bias"
SBO_POSITIONS = "cls.pair_target_predictions.position_embeddings.weight"
POOLER, NEXT_SENTENCE = "bert.pooler.dense", "cls.seq_relationship"
LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.")

# What torch.compile, FSDP, activation checkpointing and Fabric insert into names, at the start or inside.
INNER_WRAPPING = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\.")
# Other models whose tensors have BERT's names after their own; those that end with "bert" differ in the name itself.
OTHER_MODELS = re.compile(
    r"(?:.*\.)?(?:.*roberta.*|electra|deberta.*|mpnet|longformer|layoutlm.*|ernie.*|nezha|splinter|tapas|luke|esm|xmod|"
    r"data2vec.*|roformer|funnel|big_?bird|canine|realm|lxmert)\."
)
WORDS_AFTER_PREFIX = re.compile(r"(.*?)(?:decoder\.)?(?:bert\.)?embeddings\.word_embeddings\.weight")


class Weight(NamedTuple):
    """The Hugging Face tensor of one of our weights.

    Attributes:
        name: str. Name of the tensor.
        shape: str. Shape of the tensor in letters, for `Checkpoint.shapes`; "" if other settings determine it.
        transposed: bool. Whether our weight is its transpose.
    """

    name: str
    shape: str
    transposed: bool = False


Table = dict[str, Weight]  # keys: paths of our weights


def canonical(name: str) -> str:
    """Returns a tensor's name in the current Hugging Face notation.

    The research code adds the prefix `decoder.`; older programs write `gamma` and `beta`; a folder of a bare
    `BertModel` omits `bert.`.
    """
    if name.startswith(("decoder.bert.", "decoder.cls.")):
        name = name.removeprefix("decoder.")
    if name.startswith(("embeddings.", "encoder.layer.", "pooler.")):
        name = f"bert.{name}"
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))


def without_inner_wrapping(name: str) -> str:
    """Returns a tensor's name without `_orig_mod` of torch.compile and similar wrappers, at any position."""
    return INNER_WRAPPING.sub("", name)


def is_wrapping(prefix: str) -> bool:
    """Returns whether the names after this prefix are BERT's, not those of another model with the same names."""
    return prefix.endswith(".") and not OTHER_MODELS.fullmatch(prefix)


def _dense(ours: str, theirs: str, outputs: str = "D", inputs: str = "D") -> Table:
    kernel = Weight(f"{theirs}.weight", f"{outputs} {inputs}", transposed=True)
    return {f"{ours}/kernel": kernel, f"{ours}/bias": Weight(f"{theirs}.bias", outputs)}


def _norm(ours: str, theirs: str) -> Table:
    return {f"{ours}/gamma": Weight(f"{theirs}.weight", "D"), f"{ours}/beta": Weight(f"{theirs}.bias", "D")}


def encoder_table(num_layers: int) -> Table:
    """Returns the encoder's weights."""
    theirs = "bert.embeddings"
    table: Table = {
        "token_embedding/embeddings": Weight(WORD_EMBEDDINGS, "V D"),
        "input_embedding/position_embeddings": Weight(POSITION_EMBEDDINGS, "T D"),
        "input_embedding/segment_embeddings": Weight(f"{theirs}.token_type_embeddings.weight", "S D"),
        **_norm("input_embedding/norm", f"{theirs}.LayerNorm"),
    }
    for i in range(num_layers):
        ours, theirs = f"block_{i}", f"bert.encoder.layer.{i}"
        for name in ("query", "key", "value"):
            table |= _dense(f"{ours}/attention/{name}", f"{theirs}.attention.self.{name}")
        table |= _dense(f"{ours}/attention/output", f"{theirs}.attention.output.dense")
        table |= _norm(f"{ours}/attention_norm", f"{theirs}.attention.output.LayerNorm")
        table |= _dense(f"{ours}/intermediate", f"{theirs}.intermediate.dense", outputs="I")
        table |= _dense(f"{ours}/output", f"{theirs}.output.dense", inputs="I")
        table |= _norm(f"{ours}/output_norm", f"{theirs}.output.LayerNorm")
    return table


def masked_lm_table() -> Table:
    """Returns the weights of the masked-LM head, except the tied matrix."""
    ours, theirs = "masked_lm_head", "cls.predictions"
    return {
        f"{ours}/vocabulary_bias": Weight(MLM_BIAS, "V"),
        **_dense(f"{ours}/dense", f"{theirs}.transform.dense"),
        **_norm(f"{ours}/norm", f"{theirs}.transform.LayerNorm"),
    }


def span_boundary_table() -> Table:
    """Returns the weights of the span-boundary head under the research code's names, except the tied matrix."""
    ours, theirs = "span_boundary_head", "cls.pair_target_predictions"
    return {
        f"{ours}/span_position_embeddings": Weight(SBO_POSITIONS, "N E"),
        f"{ours}/vocabulary_bias": Weight(SBO_BIAS, "V"),
        **_dense(f"{ours}/dense_1", f"{theirs}.mlp_layer_norm.linear1", inputs="2D+E"),
        **_norm(f"{ours}/norm_1", f"{theirs}.mlp_layer_norm.layer_norm1"),
        **_dense(f"{ours}/dense_2", f"{theirs}.mlp_layer_norm.linear2"),
        **_norm(f"{ours}/norm_2", f"{theirs}.mlp_layer_norm.layer_norm2"),
    }


def next_sentence_table() -> Table:
    """Returns the weights of the next-sentence head, as in `transformers.BertForPreTraining`: BERT's pooler is its own.

    The first row of `cls.seq_relationship` is that of "is next", as in our head.
    """
    pooler = _dense("next_sentence_head/pooler_dense", POOLER)
    return pooler | _dense("next_sentence_head/classifier", NEXT_SENTENCE, outputs="2")


def answer_table() -> Table:
    """Returns the weights of the question answerer's layer, as in `transformers.BertForQuestionAnswering`."""
    return _dense("answer_head", "qa_outputs", outputs="2")


def coreference_table() -> Table:
    """Returns the weights of the coreference resolver's layers, under our own names: no other library has them."""
    of_ffnn = [f"{layer}/{part}" for layer in ("hidden", "out") for part in ("kernel", "bias")]
    of_dense = ["kernel", "bias"]
    paths = ["span_vectors/width_embeddings", *(f"span_vectors/head_score/{part}" for part in of_dense)]
    paths += ["mention_scorer/width_embeddings"]
    paths += [f"mention_scorer/{score}/{part}" for score in ("span_score", "width_score") for part in of_ffnn]
    paths += ["coarse_antecedents/distance_embeddings"]
    paths += [f"coarse_antecedents/{layer}/{part}" for layer in ("distance_score", "projection") for part in of_dense]
    paths += [f"pair_scorer/{name}_embeddings" for name in ("speaker", "genre", "distance", "segment")]
    paths += [f"pair_scorer/score/{part}" for part in of_ffnn]
    paths += [f"span_refinement/gate/{part}" for part in of_dense]
    return {path: Weight(COREFERENCE + path.replace("/", "."), "") for path in paths}


def entity_table() -> Table:
    """Returns the weights of the entity recognizer's layer, under our own names: no other library has them."""
    paths = ["start_dense/kernel", "start_dense/bias", "end_dense/kernel", "width_embeddings"]
    paths += [f"classifier/{part}" for part in ("kernel", "bias")]
    return {f"span_head/{path}": Weight(ENTITIES + path.replace("/", "."), "") for path in paths}


def classifier_table() -> Table:
    """Returns the weights of a classifier's layer, as in `transformers.BertForSequenceClassification`."""
    return _dense("head/classifier", "classifier", outputs="L")


def pooler_table() -> Table:
    """Returns the weights of a classifier's pooler."""
    return _dense("head/pooler_dense", POOLER)


def any_in(table: Table, names: Collection[str]) -> bool:
    """Returns whether any weight of a table is among the tensor names."""
    return any(weight.name in names for weight in table.values())


HEADS = {  # of pre-training
    "masked_lm": masked_lm_table,
    "span_boundary": span_boundary_table,
    "next_sentence": next_sentence_table,
}


def heads_in(names: Collection[str]) -> list[str]:
    """Returns the pre-training heads among the tensor names.

    A next-sentence head is one only as a whole: every BERT has a pooler, and without it the rest is of no use.
    """
    found = {head: [weight.name in names for weight in table().values()] for head, table in HEADS.items()}
    return [head for head, present in found.items() if (all if head == "next_sentence" else any)(present)]
