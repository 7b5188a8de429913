"""Pre-training steps of this package and of others on the same batch: what `benchmarks/pretraining.py` races.

Each function returns a function that runs one step, of the model's usual training: random weights and tokens, 15 % of
the tokens masked, dropout 0.1, AdamW, no clipping.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

MASKED_SHARE = 0.15
LEARNING_RATE = 1e-4
SPAN_ROWS = 15  # of the research code: predictions for each pair of boundaries
POSITION_DIM = 200

Step = Callable[[], float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of the model and of the batch."""

    vocabulary_size: int
    num_layers: int
    num_heads: int
    hidden_dim: int
    sequence_length: int
    batch_rows: int

    @property
    def predictions(self) -> int:
        """Masked tokens of each row."""
        return -(-int(100 * MASKED_SHARE) * self.sequence_length // 100)

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.batch_rows * self.sequence_length


def random_batch(sizes: Sizes) -> dict[str, np.ndarray]:
    """Returns a batch of random tokens as a step takes it."""
    random = np.random.default_rng(0)
    rows, length, masked = sizes.batch_rows, sizes.sequence_length, sizes.predictions
    positions = np.sort(random.permuted(np.tile(np.arange(1, length - 1), (rows, 1)), axis=1)[:, :masked], axis=1)
    batch = {
        "token_ids": random.integers(5, sizes.vocabulary_size, (rows, length)),
        "segment_ids": np.zeros((rows, length)),
        "padding_mask": np.ones((rows, length)),
        "mask_positions": positions,
        "mask_ids": random.integers(5, sizes.vocabulary_size, (rows, masked)),
        "left_positions": positions - 1,
        "right_positions": positions + 1,
        "span_offsets": np.zeros((rows, masked)),
    }
    weights = {name: np.ones((rows, masked), np.float32) for name in ("mask_weights", "span_weights")}
    return {name: values.astype(np.int32) for name, values in batch.items()} | weights


def our_step(sizes: Sizes, precision: str, compiled: bool, sbo_weight: float) -> Step:
    """Returns a step of this package on the backend in use."""
    import keras

    from spanbert_keras import SpanBertEncoder, SpanBertPretrainer
    from spanbert_keras.pretraining.objective import PretrainingObjective
    from spanbert_keras.training.backend import make_step
    from spanbert_keras.training.steps.objective import StepSettings, seed_generators
    from spanbert_keras.training.steps.optimizers import make_adamw

    keras.config.set_dtype_policy(precision)
    encoder = SpanBertEncoder(
        sizes.vocabulary_size,
        sizes.num_layers,
        sizes.num_heads,
        sizes.hidden_dim,
        4 * sizes.hidden_dim,
        max_sequence_length=sizes.sequence_length,
    )
    model = SpanBertPretrainer(encoder)
    optimizer = make_adamw(model.trainable_variables, LEARNING_RATE)
    step = make_step(model, optimizer, StepSettings(objective=PretrainingObjective(sbo_weight), compile=compiled))
    batches = {name: values[np.newaxis] for name, values in random_batch(sizes).items()}  # one step per call
    seeds = np.ones((1, 1, 1, len(seed_generators(model)), 2), np.uint32)
    return lambda: float(step.to_numpy(step.train(batches, seeds, 1.0, 0))["loss"][0])


def keras_hub_step(sizes: Sizes, precision: str, compiled: bool) -> Step:
    """Returns a step of keras-hub's masked LM with `train_on_batch`."""
    import keras
    import keras_hub

    keras.config.set_dtype_policy(precision)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=sizes.vocabulary_size,
        num_layers=sizes.num_layers,
        num_heads=sizes.num_heads,
        hidden_dim=sizes.hidden_dim,
        intermediate_dim=4 * sizes.hidden_dim,
        max_sequence_length=sizes.sequence_length,
    )
    model = keras_hub.models.BertMaskedLM(backbone, preprocessor=None)
    model.compile(
        optimizer=keras.optimizers.AdamW(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=compiled,
    )
    batch = random_batch(sizes)
    inputs = {name: batch[name] for name in ("token_ids", "segment_ids", "padding_mask", "mask_positions")}
    return lambda: float(np.ravel(model.train_on_batch(inputs, batch["mask_ids"]))[0])


def _torch_bert(sizes: Sizes, kind: str) -> Any:
    import transformers

    config = transformers.BertConfig(
        vocab_size=sizes.vocabulary_size,
        num_hidden_layers=sizes.num_layers,
        num_attention_heads=sizes.num_heads,
        hidden_size=sizes.hidden_dim,
        intermediate_size=4 * sizes.hidden_dim,
        max_position_embeddings=sizes.sequence_length,
    )
    return getattr(transformers, kind)(config).train()


def _torch_step(sizes: Sizes, precision: str, model: Any, loss_of: Callable[[dict], Any]) -> Step:
    """Returns a step on torch: forward pass under autocast, backward pass, AdamW."""
    import torch

    from benchmarks.shared.torch_optimizer import make_adamw

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    optimizer = make_adamw(model, LEARNING_RATE)
    batch = {name: torch.from_numpy(values).to(device) for name, values in random_batch(sizes).items()}

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=precision != "float32"):
            loss = loss_of(batch)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def transformers_step(sizes: Sizes, precision: str) -> Step:
    """Returns a step of `transformers`' masked LM: logits at every position, labels of -100 outside of the masks."""
    model = _torch_bert(sizes, "BertForMaskedLM")

    def loss_of(batch: dict) -> Any:
        import torch

        labels = torch.full_like(batch["token_ids"], -100, dtype=torch.long)
        labels.scatter_(1, batch["mask_positions"].long(), batch["mask_ids"].long())
        return model(batch["token_ids"], batch["padding_mask"], batch["segment_ids"], labels=labels).loss

    return _torch_step(sizes, precision, model, loss_of)


def research_step(sizes: Sizes, precision: str) -> Step:
    """Returns a step with the arithmetic of the research code.

    Its masked LM computes logits at every position, and its span boundary head `SPAN_ROWS` predictions for each pair
    of boundaries; here a row has one pair for every mean span length of 3.8 masked tokens.
    """
    import torch
    from torch import nn

    encoder = _torch_bert(sizes, "BertModel")
    d = sizes.hidden_dim
    pairs = max(1, round(sizes.predictions / 3.8))

    class Heads(nn.Module):
        """The encoder and both heads, whose output matrix is that of the embeddings."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.masked_lm = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.LayerNorm(d))
            self.positions = nn.Embedding(SPAN_ROWS, POSITION_DIM)
            self.span = nn.Sequential(
                *(nn.Linear(2 * d + POSITION_DIM, d), nn.GELU(), nn.LayerNorm(d)),
                *(nn.Linear(d, d), nn.GELU(), nn.LayerNorm(d)),
            )

        def forward(self, batch: dict) -> tuple[Any, Any]:
            hidden = self.encoder(batch["token_ids"], batch["padding_mask"], batch["segment_ids"])[0]
            matrix = self.encoder.embeddings.word_embeddings.weight
            left, right = (
                torch.gather(hidden, 1, batch[name][:, :pairs, None].long().expand(-1, -1, d))
                for name in ("left_positions", "right_positions")
            )
            boundaries = torch.cat([left, right], -1)[:, :, None].expand(-1, -1, SPAN_ROWS, -1)
            positions = self.positions.weight.expand(*boundaries.shape[:2], -1, -1)
            spans = self.span(torch.cat([boundaries, positions], -1))
            return self.masked_lm(hidden) @ matrix.T, spans @ matrix.T

    model = Heads().train()

    def loss_of(batch: dict) -> Any:
        logits, span_logits = model(batch)
        labels = torch.full_like(batch["token_ids"], -100, dtype=torch.long)
        labels.scatter_(1, batch["mask_positions"].long(), batch["mask_ids"].long())
        span_labels = batch["mask_ids"][:, :pairs, None].expand(-1, -1, SPAN_ROWS).long()
        cross_entropy = nn.functional.cross_entropy
        masked_lm = cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
        return masked_lm + cross_entropy(span_logits.flatten(0, 2).float(), span_labels.flatten())

    return _torch_step(sizes, precision, model, loss_of)


def matmul_step(sizes: Sizes, precision: str, sbo: bool) -> Step:
    """Returns a function that computes the matrix products of a step and nothing else, with TensorFlow.

    Of every product of the forward pass the backward pass has two of the same size.
    """
    import tensorflow as tf

    dtype = tf.float32 if precision == "float32" else tf.bfloat16
    n, d, masked = sizes.tokens, sizes.hidden_dim, sizes.batch_rows * sizes.predictions
    heads, length, rows = sizes.num_heads, sizes.sequence_length, sizes.batch_rows
    shapes = [(n, d, 3 * d), (n, d, d), (n, d, 4 * d), (n, 4 * d, d)] * sizes.num_layers
    shapes += [(masked, d, d), (masked, d, sizes.vocabulary_size)]
    shapes += [(masked, 2 * d + POSITION_DIM, d), (masked, d, d), (masked, d, sizes.vocabulary_size)] if sbo else []
    distinct = {shape: shapes.count(shape) for shape in shapes}
    random = np.random.default_rng(0)

    def tensor(*shape: int) -> Any:
        return tf.constant(random.normal(size=shape), dtype)

    plain = [(tensor(m, k), tensor(k, out), tensor(m, out), count) for (m, k, out), count in distinct.items()]
    query, weights = tensor(rows, heads, length, d // heads), tensor(rows, heads, length, length)

    @tf.function
    def products() -> Any:
        total = tf.zeros((), dtype)
        for x, w, y, count in plain:
            for _ in range(count):
                with tf.control_dependencies([total]):
                    results = (tf.matmul(x, w), tf.matmul(y, w, transpose_b=True), tf.matmul(x, y, transpose_a=True))
                total += tf.add_n([result[0, 0] for result in results])
        for _ in range(sizes.num_layers):
            for _ in range(3):
                with tf.control_dependencies([total]):
                    results = (tf.matmul(query, query, transpose_b=True), tf.matmul(weights, query))
                total += tf.add_n([result[0, 0, 0, 0] for result in results])
        return total

    return lambda: float(products())
