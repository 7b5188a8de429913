"""A tiny BERT that both sides of a benchmark load."""

import json

import pytest


@pytest.fixture
def bert_folder(tmp_path, small_vocabulary):
    """A Hugging Face folder with random weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    vocabulary = [*small_vocabulary, *(f"[unused{n}]" for n in range(1, 9))]
    sizes = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=48,
    )
    folder = tmp_path / "bert"
    transformers.BertModel(sizes).save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": False, "model_max_length": 48})
    )
    return str(folder)
