"""It computes the right thing: 50 training steps equal an independent implementation in torch.

The oracle is `transformers.BertModel` with heads, loss, AdamW, clipping and schedule written here from the paper. Both
begin with the same weights and see the same batches, without dropout. Size: 2 x 48, V 211, T 40, B 6.
"""

import math

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertPretrainer, SpanBertTokenizer, SpanMasker
from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.training.backend import make_step
from spanbert_keras.training.steps.objective import StepSettings, seed_generators
from spanbert_keras.training.steps.optimizers import make_adamw
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay

torch = pytest.importorskip("torch", reason="the independent implementation is written in torch")

STEPS, WARMUP, PEAK = 50, 10, 3e-3
B, T, V, D, POSITIONS = 6, 40, 211, 48, 7
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [chr(code) for code in range(0x4E00, 0x4E00 + (V - 5) // 2)]


def make_batches():
    """Yields masked batches of random pieces with a little regularity to learn, rows of unequal length."""
    tokenizer = SpanBertTokenizer([*SPECIALS, *LETTERS, *("##" + letter for letter in LETTERS)])
    assert tokenizer.vocabulary_size() == V
    masker = SpanMasker(tokenizer=tokenizer, max_span_positions=POSITIONS)
    rng = np.random.default_rng(2)
    for step in range(STEPS):
        ids = np.zeros((B, T), "int32")
        for row in range(B):
            length = int(rng.integers(12, T + 1))
            ids[row, :length] = 5 + (rng.integers(0, 60) + 7 * np.arange(length)) % (V - 5)
            ids[row, 0], ids[row, length - 1] = 2, 3
        yield masker({"token_ids": ids, "padding_mask": (ids > 0).astype("int32")}, seed=(9, step))


class Oracle(torch.nn.Module):
    """SpanBERT's two objectives on a given `BertModel` (Joshi et al., 2020, sections 3.2 and 3.3)."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert
        width = bert.config.hidden_size
        self.mlm = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.GELU(), self.norm(width))
        self.sbo = torch.nn.Sequential(
            torch.nn.Linear(2 * width + 11, width),
            torch.nn.GELU(),
            self.norm(width),
            torch.nn.Linear(width, width),
            torch.nn.GELU(),
            self.norm(width),
        )
        self.positions = torch.nn.Embedding(POSITIONS, 11)
        self.mlm_bias = torch.nn.Parameter(torch.zeros(bert.config.vocab_size))
        self.sbo_bias = torch.nn.Parameter(torch.zeros(bert.config.vocab_size))

    @staticmethod
    def norm(width):
        return torch.nn.LayerNorm(width, eps=1e-12)

    def take_weights(self, pretrainer):
        """Copies the heads' weights; the encoder's came with the `BertModel`."""

        def values(weight):
            return torch.tensor(keras.ops.convert_to_numpy(weight))

        mlm, sbo = pretrainer.masked_lm_head, pretrainer.span_boundary_head
        pairs = [(self.mlm[0], mlm.dense), (self.sbo[0], sbo.dense_1), (self.sbo[3], sbo.dense_2)]
        norms = [(self.mlm[2], mlm.norm), (self.sbo[2], sbo.norm_1), (self.sbo[5], sbo.norm_2)]
        with torch.no_grad():
            for linear, dense in pairs:
                linear.weight.copy_(values(dense.kernel).T), linear.bias.copy_(values(dense.bias))
            for norm, layer in norms:
                norm.weight.copy_(values(layer.gamma)), norm.bias.copy_(values(layer.beta))
            self.positions.weight.copy_(values(sbo.span_position_embeddings))
            self.mlm_bias.copy_(values(mlm.vocabulary_bias)), self.sbo_bias.copy_(values(sbo.vocabulary_bias))

    def forward(self, batch):
        """Returns the two losses of every masked piece, (B, M) each."""
        x = self.bert(
            input_ids=batch["token_ids"], attention_mask=batch["padding_mask"], token_type_ids=batch["segment_ids"]
        ).last_hidden_state
        rows = torch.arange(len(x))[:, None]
        boundaries = [x[rows, batch["left_positions"]], x[rows, batch["right_positions"]]]
        place = self.positions(batch["span_offsets"].clamp(max=POSITIONS - 1))
        table = self.bert.embeddings.word_embeddings.weight
        logits = (
            self.mlm(x[rows, batch["mask_positions"]]) @ table.T + self.mlm_bias,
            self.sbo(torch.cat([*boundaries, place], -1)) @ table.T + self.sbo_bias,
        )
        return [
            torch.nn.functional.cross_entropy(y.flatten(0, 1), batch["mask_ids"].flatten(), reduction="none").reshape(
                batch["mask_ids"].shape
            )
            for y in logits
        ]


class AdamW:
    """Adam with decoupled decay (Loshchilov and Hutter, 2019), written out: matrices decay, biases and norms do not.

    As Keras' Adam (and Kingma and Ba's "more efficient" form), epsilon is added to the uncorrected root.
    """

    def __init__(self, parameters, decay=0.1, betas=(0.9, 0.999), epsilon=1e-8):
        self.parameters, self.decay, self.betas, self.epsilon = parameters, decay, betas, epsilon
        self.state = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]

    @torch.no_grad()
    def update(self, rate, step, clip_norm):
        norm = torch.sqrt(sum((p.grad**2).sum() for p in self.parameters))
        factor = min(1.0, clip_norm / float(norm))
        scale = rate * math.sqrt(1 - self.betas[1] ** step) / (1 - self.betas[0] ** step)
        for parameter, (first, second) in zip(self.parameters, self.state, strict=True):
            gradient = parameter.grad * factor
            first.mul_(self.betas[0]).add_((1 - self.betas[0]) * gradient)
            second.mul_(self.betas[1]).add_((1 - self.betas[1]) * gradient**2)
            if parameter.dim() > 1:
                parameter.sub_(rate * self.decay * parameter)
            parameter.sub_(scale * first / (second.sqrt() + self.epsilon))
            parameter.grad = None
        return float(norm)


def rate_at(step):
    """Linear warm-up to the peak at step `WARMUP`, then linear decay to zero at the end; steps count from 0."""
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    return PEAK * (STEPS - step) / (STEPS - WARMUP)


def oracle_run(oracle, batches, clip_norm):
    """Returns MLM loss, SBO loss and gradient norm of each step, float64 (50, 3)."""
    optimizer, figures = AdamW(list(oracle.parameters())), []
    for step, batch in enumerate(batches):
        batch = {
            key: torch.tensor(value).to(torch.float32 if "weights" in key else torch.long)
            for key, value in batch.items()
        }
        mlm, sbo = oracle(batch)
        mlm_sum, sbo_sum = (mlm * batch["mask_weights"]).sum(), (sbo * batch["span_weights"]).sum()
        targets = batch["mask_weights"].sum()
        ((mlm_sum + sbo_sum) / targets).backward()
        norm = optimizer.update(rate_at(step), step + 1, clip_norm)
        figures.append((mlm_sum.item() / targets.item(), sbo_sum.item() / batch["span_weights"].sum().item(), norm))
    return np.array(figures)


def keras_run(pretrainer, batches, **settings):
    """The same by the training program's own step, optimizer and schedule."""
    optimizer = make_adamw(pretrainer.trainable_variables, WarmupLinearDecay(PEAK, WARMUP, STEPS))
    step = make_step(pretrainer, optimizer, StepSettings(**{"objective": PretrainingObjective(), **settings}))
    seeds = np.zeros((1, 1, step.settings.accumulation_steps, len(seed_generators(pretrainer)), 2), "uint32")
    figures, scale, scale_steps = [], 1.0, 0
    for batch in batches:
        results = step.train({key: value[None] for key, value in batch.items()}, seeds, scale, scale_steps)
        scale, scale_steps = results["scale"], results["scale_steps"]
        row = []
        for losses, weights in (("mlm_losses", "mask_weights"), ("sbo_losses", "span_weights")):
            values = keras.ops.convert_to_numpy(results[losses]).astype("float64")
            row.append((values * batch[weights]).sum() / batch[weights].sum())
        figures.append((*row, float(keras.ops.convert_to_numpy(results["gradient_norm"])[0])))
    return np.array(figures)


@pytest.fixture(scope="module")
def batches():
    return list(make_batches())


@pytest.mark.parametrize("steps, clip_norm", [(1, 1.0), (3, 3.7)], ids=["the paper's", "accumulated"])
def test_50_steps_equal_an_independent_torch_implementation(as_bert, batches, steps, clip_norm):
    encoder = SpanBertEncoder(V, 2, 4, D, 4 * D, dropout=0.0, max_sequence_length=T)
    pretrainer = SpanBertPretrainer(encoder, max_span_positions=POSITIONS, position_dim=11)
    oracle = Oracle(as_bert(encoder))
    oracle.take_weights(pretrainer)
    expected = oracle_run(oracle, batches, clip_norm)
    figures = keras_run(pretrainer, batches, accumulation_steps=steps, clip_norm=clip_norm)
    np.testing.assert_allclose(figures[:, :2], expected[:, :2], rtol=1e-4)
    np.testing.assert_allclose(figures[:, 2], expected[:, 2], rtol=1e-2)
    # The comparison says something: it starts near ln V, both losses fall, and clipping acts (second: at times).
    assert figures[0, :2] == pytest.approx(math.log(V), rel=0.05)
    assert (figures[-5:, :2].mean(0) < figures[:5, :2].mean(0) - 0.5).all()
    assert 0.1 < (expected[:, 2] > clip_norm).mean() <= (1.0 if clip_norm == 1.0 else 0.9)
