"""Named architectures with their sources: `SpanBertEncoder.from_preset("base", load_weights=False)` makes one."""

from types import MappingProxyType

CASED_VOCABULARY_SIZE = 28_996  # BERT's cased vocabulary (Devlin et al., 2019), which SpanBERT uses (section 4.2)


def _architecture(num_layers: int, hidden_dim: int, num_heads: int) -> MappingProxyType:
    """Returns a BERT-shaped architecture: feed-forward width 4 x hidden_dim, 512 positions, 2 segments."""
    return MappingProxyType(
        {
            "vocabulary_size": CASED_VOCABULARY_SIZE,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "hidden_dim": hidden_dim,
            "intermediate_dim": 4 * hidden_dim,
            "max_sequence_length": 512,
            "num_segments": 2,
        }
    )


ARCHITECTURES = MappingProxyType(
    {
        "tiny": _architecture(2, 128, 2),  # BERT-Tiny (Turc et al., 2019)
        "small": _architecture(4, 512, 8),  # BERT-Small (Turc et al., 2019)
        "base": _architecture(12, 768, 12),  # BERT-Base (Devlin et al., 2019)
        "large": _architecture(24, 1024, 16),  # BERT-Large (Devlin et al., 2019), the paper's model (section 4.2)
    }
)
