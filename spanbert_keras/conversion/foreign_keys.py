"""All keys in other programs' configuration files of BERT models, and how this package handles them.

`docs/configuration_keys.md` documents this table. A key that affects what the model computes is supported, or its other
values are rejected; none is ignored silently.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json

SUPPORTED, HARMLESS, REJECTED, REPORTED = "supported", "harmless", "rejected", "reported"
MAX_QUOTED = 200  # characters of a name or value in a message
SPECIAL_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
# Classes that split text like BertTokenizer.
TOKENIZER_CLASSES = tuple(
    name + suffix
    for name in ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer")
    for suffix in ("", "Fast")
) + ("PreTrainedTokenizerFast", "TokenizersBackend")


@dataclasses.dataclass(frozen=True)
class ForeignKey:
    """How one key is handled.

    Attributes:
        status: str. `SUPPORTED`: the value is used. `HARMLESS`: it does not change results. `REJECTED`: a value that is
            not in `allowed` is an error. `REPORTED`: such a value is reported but not followed.
        meaning: str. Meaning of the key, for the documentation and for messages.
        allowed: tuple. Accepted values besides `null`; for `REPORTED`, the value that is followed.
    """

    status: str
    meaning: str
    allowed: tuple = ()


def _keys(status: str, meaning: str, names: str, allowed: tuple = ()) -> dict[str, ForeignKey]:
    """Returns entries for several names, separated by spaces, that are handled alike."""
    return {name: ForeignKey(status, meaning, allowed) for name in names.split()}


def _rejected(meaning: str, **values: Any) -> dict[str, ForeignKey]:
    """Returns entries for keys whose values, other than the given ones, are rejected."""
    return {name: ForeignKey(REJECTED, meaning, value) for name, value in values.items()}


CONFIG: dict[str, ForeignKey] = {
    **_keys(SUPPORTED, "sizes of the encoder", "num_hidden_layers num_attention_heads"),
    **_keys(
        SUPPORTED,
        "must agree with the tensors' shapes",
        "hidden_size intermediate_size max_position_embeddings type_vocab_size vocab_size",
    ),
    **_keys(SUPPORTED, "dropout rates", "hidden_dropout_prob attention_probs_dropout_prob classifier_dropout"),
    **_keys(
        SUPPORTED,
        "type of head, and meaning of its outputs",
        "architectures id2label label2id num_labels _num_labels problem_type",
    ),
    **_keys(SUPPORTED, "settings of this package's own heads", "spanbert_keras"),
    **_rejected("model family; the encoder is BERT's", model_type=("bert",)),
    **_rejected("the exact GELU", hidden_act=("gelu", "gelu_python")),
    **_rejected("learned absolute positions", position_embedding_type=("absolute",)),
    **_rejected("epsilon of the layer norms", layer_norm_eps=(1e-12,)),
    **_rejected("attention is bidirectional", is_decoder=(False,), add_cross_attention=(False,)),
    **_rejected("attention is bidirectional", is_encoder_decoder=(False,), tie_encoder_decoder=(False,)),
    **_rejected("attention is bidirectional", cross_attention_hidden_size=()),
    **_rejected("pruned attention heads", pruned_heads=({},)),
    **_rejected("quantized weights", quantization_config=()),
    **_rejected("custom model code in the folder", auto_map=()),
    **_rejected("tokenizer class", tokenizer_class=TOKENIZER_CLASSES),
    **_keys(HARMLESS, "checked on the tensors", "tie_word_embeddings"),
    **_keys(HARMLESS, "initial weights", "initializer_range"),
    **_keys(
        HARMLESS,
        "provenance",
        "_name_or_path name_or_path transformers_version _commit_hash finetuning_task language name"
        " model_max_length spanbert",
    ),
    **_keys(HARMLESS, "storage: tensors are read in their own dtype", "torch_dtype dtype use_bfloat16"),
    **_keys(
        HARMLESS,
        "runtime options of the other program, which do not change results",
        "use_cache gradient_checkpointing torchscript xla_device chunk_size_feed_forward tf_legacy_loss"
        " attn_implementation _attn_implementation _attn_implementation_autoset _attn_implementation_internal"
        " output_attentions output_hidden_states output_past return_dict use_return_dict experts_implementation",
    ),
    **_keys(
        HARMLESS,
        "ids, taken from the vocabulary",
        "pad_token_id bos_token_id eos_token_id sep_token_id cls_token_id mask_token_id unk_token_id"
        " decoder_start_token_id",
    ),
    **_keys(
        HARMLESS,
        "Google's keys for pooler and direction, which no program reads",
        "directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head"
        " pooler_type",
    ),
    **_keys(
        HARMLESS,
        "text generation, which an encoder does not do",
        "task_specific_params prefix max_length min_length do_sample early_stopping num_beams num_beam_groups"
        " diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size"
        " encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate"
        " forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty"
        " suppress_tokens begin_suppress_tokens",
    ),
}

TOKENIZER_CONFIG: dict[str, ForeignKey] = {
    **_keys(SUPPORTED, "how text is normalized", "do_lower_case strip_accents tokenize_chinese_chars"),
    **_keys(SUPPORTED, "tokens matched in the text before it is split into word pieces", "added_tokens_decoder"),
    **_keys(
        SUPPORTED,
        "special tokens besides BERT's five, matched in the text before it is split into word pieces",
        "additional_special_tokens extra_special_tokens model_specific_special_tokens bos_token eos_token",
    ),
    **_keys(SUPPORTED, "longest row, in tokens", "model_max_length max_len"),
    **{name: ForeignKey(REJECTED, "BERT's special token", (piece,)) for name, piece in SPECIAL_TOKENS.items()},
    **_rejected("tokenizer class", tokenizer_class=TOKENIZER_CLASSES),
    **_rejected("text is first split at whitespace, punctuation and CJK characters", do_basic_tokenize=(True,)),
    **_rejected("text is first split at whitespace, punctuation and CJK characters", do_word_tokenize=(True,)),
    **_rejected("words are split into word pieces", do_subword_tokenize=(True,), subword_tokenizer_type=("wordpiece",)),
    **_rejected("BERT's basic word splitter", word_tokenizer_type=("basic",), mecab_kwargs=(), sudachi_kwargs=()),
    **_rejected("BERT's basic word splitter", jumanpp_kwargs=()),
    **_rejected("words that are never split into pieces", never_split=([],)),
    **_rejected("prefix of pieces that continue a word", wordpieces_prefix=("##",)),
    **_rejected("rows are [CLS] text [SEP] (text [SEP])", add_bos_token=(False,), add_eos_token=(False,)),
    **_rejected("control characters are removed", clean_text=(True,)),
    **_rejected("longest word, in characters", max_input_chars_per_word=(100,)),
    **_rejected("custom tokenizer code in the folder", auto_map=()),
    **_rejected("positional arguments of the tokenizer class", init_inputs=([],)),
    **_keys(REPORTED, "rows are padded and truncated at their end", "padding_side truncation_side", ("right",)),
    **_keys(REPORTED, "padding has segment 0", "pad_token_type_id", (0,)),
    **_keys(
        HARMLESS,
        "a literal [MASK] in a text is ordinary text here, unless `special_tokens_in_text` is set",
        "split_special_tokens",
    ),
    **_keys(
        HARMLESS,
        "provenance",
        "name_or_path special_tokens_map_file tokenizer_file vocab_file processor_class full_tokenizer_file"
        " slow_tokenizer_class files_loaded transformers_version",
    ),
    **_keys(
        HARMLESS,
        "runtime options of the other program",
        "use_fast backend is_local local_files_only device_map from_slow legacy return_tensors errors"
        " model_input_names verbose add_prefix_space trust_remote_code fix_mistral_regex",
    ),
    **_keys(
        HARMLESS,
        "row length and padding, chosen per call",
        "max_length stride truncation_strategy truncation padding pad_to_multiple_of pad_to_max_length"
        " add_special_tokens return_token_type_ids return_attention_mask",
    ),
    **_keys(
        HARMLESS,
        "decoding of ids to text",
        "clean_up_tokenization_spaces chat_template response_template chat_control_tokens",
    ),
}

SPECIAL_TOKENS_MAP: dict[str, ForeignKey] = {
    name: TOKENIZER_CONFIG[name]
    for name in (*SPECIAL_TOKENS, "bos_token", "eos_token", "additional_special_tokens", "extra_special_tokens")
}

TOKENIZER: dict[str, ForeignKey] = {  # `a.b` is key `b` of the object `a`
    **_keys(HARMLESS, "version of the file's format", "version"),
    **_keys(
        SUPPORTED, "tokens matched in the text before it is split into word pieces, with their flags", "added_tokens"
    ),
    **_rejected("`BertNormalizer`, or `null` for none", **{"normalizer.type": ("BertNormalizer",)}),
    **_keys(
        SUPPORTED,
        "how text is normalized",
        "normalizer.clean_text normalizer.handle_chinese_chars normalizer.strip_accents normalizer.lowercase",
    ),
    **_rejected("BERT's word splitter", **{"pre_tokenizer.type": ("BertPreTokenizer",)}),
    **_rejected("word pieces", **{"model.type": ("WordPiece",), "model.unk_token": ("[UNK]",)}),
    **_rejected("prefix of pieces that continue a word", **{"model.continuing_subword_prefix": ("##",)}),
    **_rejected("longest word, in characters", **{"model.max_input_chars_per_word": (100,)}),
    **_keys(SUPPORTED, "the vocabulary", "model.vocab"),
    **_keys(
        SUPPORTED, "rows must be [CLS] text [SEP] and [CLS] text [SEP] text [SEP], segments 0 and 1", "post_processor"
    ),
    **_keys(HARMLESS, "decoding of ids to text", "decoder"),
    **_keys(SUPPORTED, "longest row, in tokens", "truncation.max_length"),
    **_keys(REPORTED, "rows are truncated at their end", "truncation.direction", ("Right",)),
    **_keys(HARMLESS, "windows, chosen per call", "truncation.strategy truncation.stride"),
    **_keys(REPORTED, "rows are padded at their end", "padding.direction", ("Right",)),
    **_keys(REPORTED, "padding has segment 0", "padding.pad_type_id", (0,)),
    **_rejected("BERT's special token", **{"padding.pad_token": ("[PAD]",)}),
    **_keys(HARMLESS, "row length, chosen per call", "padding.strategy padding.pad_to_multiple_of"),
    **_keys(HARMLESS, "ids, taken from the vocabulary", "padding.pad_id"),
}

MODEL_GARDEN: dict[str, ForeignKey] = {  # of the encoder, in TF Model Garden's params.yaml
    **_keys(SUPPORTED, "sizes of the encoder", "num_layers num_attention_heads"),
    **_keys(
        SUPPORTED,
        "must agree with the tensors' shapes",
        "hidden_size intermediate_size max_position_embeddings type_vocab_size vocab_size",
    ),
    **_keys(SUPPORTED, "dropout rates", "dropout_rate attention_dropout_rate"),
    **_rejected("GELU (Model Garden uses its tanh approximation)", hidden_activation=("gelu",)),
    **_rejected("layer norms come after the residual sum", norm_first=(False,)),
    **_rejected("embeddings as wide as the hidden states", embedding_size=()),
    **_rejected("the whole sequence is returned", output_range=()),
    **_keys(HARMLESS, "initial weights", "initializer_range"),
    **_keys(HARMLESS, "which outputs a call returns", "return_all_encoder_outputs return_attention_scores"),
}

KEY_TABLES = {
    "config.json": CONFIG,
    "tokenizer_config.json": TOKENIZER_CONFIG,
    "special_tokens_map.json": SPECIAL_TOKENS_MAP,
    "tokenizer.json": TOKENIZER,
    "params.yaml": MODEL_GARDEN,
}


def read_settings(path: Path) -> dict | None:
    """Returns a JSON file's object, `None` if the file is missing.

    Raises:
        InputError: it is not a JSON object.
    """
    try:
        found = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} must be a JSON object. Received: {type(found).__name__}.")
    return found


def check_keys(found: Mapping[str, Any], table: Mapping[str, ForeignKey], where: str) -> list[str]:
    """Checks the keys of a configuration against a table.

    Args:
        found: dict. The configuration.
        table: dict. One of `KEY_TABLES`.
        where: str. Path of the file, for messages.

    Returns:
        list of str. A note on each value that is not followed, and one on all unknown keys.

    Raises:
        InputError: a value would change results and is not supported.
    """
    notes, unknown = [], []
    for name, value in found.items():
        key = table.get(name)
        if value is None:
            continue
        if key is None:
            unknown.append(name)
        elif key.status in (REJECTED, REPORTED) and _content(value) not in key.allowed:
            expected = " or ".join(map(repr, key.allowed)) or "no such key"
            if key.status == REJECTED:
                raise InputError(
                    f"{where} cannot be used: its configuration says {name}={_content(value)!r}. Expected: {expected} "
                    f"({key.meaning})."
                )
            notes.append(f"{where} says {_short(name)}={_short(repr(value))}, which is not followed: {key.meaning}.")
    if unknown:
        notes.append(f"{where} has unknown keys, which are ignored: {', '.join(map(_short, sorted(unknown)))}.")
    return notes


def _short(text: str) -> str:
    """Returns a text of a file, cut to a length that a message can hold."""
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."


def _content(value: Any) -> Any:
    """Returns the text of a token that is written as a JSON object; other values are returned unchanged."""
    return value["content"] if isinstance(value, dict) and "content" in value else value
