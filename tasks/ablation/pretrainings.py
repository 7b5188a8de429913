"""The pre-trainings that the paper compares, as flags of `pretrain` over one common recipe."""

from collections.abc import Mapping
from typing import Any

from spanbert_keras.pretrain import Config

Flags = Mapping[str, Any]

TWO_SEGMENTS = {"segments": 2, "nsp_weight": 1.0, "sbo_weight": 0.0}
ONE_SEGMENT = {"segments": 1, "nsp_weight": 0.0, "sbo_weight": 0.0}
# By name, as in the folder of a pre-training. Those that two tables share are the same run.
PRETRAININGS: dict[str, Flags] = {
    "subword_2seq": TWO_SEGMENTS | {"scheme": "subword"},  # "Our BERT"
    "whole_word_2seq": TWO_SEGMENTS | {"scheme": "whole_word"},
    "named_entity_2seq": TWO_SEGMENTS | {"scheme": "named_entity"},
    "noun_phrase_2seq": TWO_SEGMENTS | {"scheme": "noun_phrase"},
    "span_2seq": TWO_SEGMENTS | {"scheme": "span"},
    "span_1seq": ONE_SEGMENT | {"scheme": "span"},
    "span_1seq_sbo": ONE_SEGMENT | {"scheme": "span", "sbo_weight": 1.0},  # SpanBERT
    "subword_1seq": ONE_SEGMENT | {"scheme": "subword"},  # "Our BERT-1seq"
    "google_bert": TWO_SEGMENTS
    | {
        "scheme": "subword",
        "masking_rule": "bert",
        "pair_copies": 10,
        "mask_copies": 10,
        "short_sequence_rate": 0.1,
        "packing": "off",
        "decay": "from_start",
        "weight_decay": 0.01,
        "epsilon": 1e-6,
        "bias_correction": False,
    },
}
TABLE_ROWS: dict[str, tuple[str, ...]] = {
    "6": ("subword_2seq", "whole_word_2seq", "named_entity_2seq", "noun_phrase_2seq", "span_2seq"),
    "7": ("span_2seq", "span_1seq", "span_1seq_sbo"),
    "main": ("google_bert", "subword_2seq", "subword_1seq", "span_1seq_sbo"),
    "own": (),  # those that --rows names
}
# Names of the rows of Tables 1 to 5.
METHODS = {
    "google_bert": "Google BERT",
    "subword_2seq": "Our BERT",
    "subword_1seq": "Our BERT-1seq",
    "span_1seq_sbo": "SpanBERT",
}
ANNOTATIONS = {"named_entity_2seq": "entities", "noun_phrase_2seq": "noun_phrases"}


def flags_of(name: str, recipe: Config) -> dict[str, Any]:
    """Returns the flags of a pre-training over a recipe.

    Google's first nine tenths of the steps have rows of a quarter of the length (Devlin et al., 2019, appendix A.2).
    """
    flags = dict(PRETRAININGS[name])
    if name == "google_bert":
        short = 9 * recipe.steps // 10
        length = recipe.max_sequence_length
        flags["max_predictions"] = max(1, int(recipe.masking_rate * length))  # 76 of 512, as Google's
        flags["phases"] = f"{length // 4}:{short},{length}:{recipe.steps - short}"
    return flags


def to_arguments(flags: Flags) -> list[str]:
    """Returns flags as arguments of a command line."""
    arguments = []
    for name, value in flags.items():
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no{name}")
        else:
            arguments.append(f"--{name}={value:g}" if isinstance(value, float) else f"--{name}={value}")
    return arguments
