"""Question answering compared with `transformers`: training steps, throughput, and latency of one answer.

    python -m benchmarks.question_answering --encoder=minilm/ --data=dev-v1.1.json

Both have the same weights and examples. They take turns in one process, and a ratio is the median of the turns' ratios,
so that noise of the machine affects both. Training: the same windows, AdamW, gradients clipped by their norm, float32;
`transformers` pads to the full length, or to the longest of a batch with windows grouped by length in pools of 20
batches. Answering: text in, text out, tokenization included; `transformers` no longer has a question-answering
pipeline, so its side is the code that its users write: windows by its tokenizer, batches, the best span of all windows.
Shapes are compiled before the clock starts.
"""

import dataclasses

import numpy as np

from benchmarks.shared.torch_optimizer import make_adamw
from benchmarks.shared.training_steps import TrainingSteps
from benchmarks.shared.turns import compare_with_transformers, latency
from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting

LEARNING_RATE = 1e-5
POOL_SIZE = 20  # batches per pool in which `transformers` sorts by length
MAX_ANSWER_LENGTH = 30  # tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the benchmark."""

    encoder: str = setting("Hugging Face folder of a BERT.", path=True)
    data: str = setting("Questions in SQuAD's JSON.", path=True)
    steps: int = setting("Training steps per side.", default=100, minimum=1)
    batch_size: int = setting("Rows per step.", default=16, minimum=1)
    max_sequence_length: int = setting("Tokens per window.", default=384, minimum=5)
    turns: int = setting("Turns into which the steps and the questions are divided.", default=5, minimum=1)
    questions: int = setting("Questions answered per side.", default=200, minimum=1)
    latency_questions: int = setting("Questions answered one by one.", default=50, minimum=1)


def examples_of(config: Config) -> list:
    """Returns the answerable questions of the file, shuffled."""
    from tasks.question_answering import data

    examples = data.read_squad(config.data).examples
    examples = [example for example in examples if example.spans]
    wanted = max(config.questions, config.latency_questions)
    if len(examples) < wanted:
        raise InputError(f"--data={config.data} has {len(examples)} answerable questions. Expected: {wanted}.")
    order = np.random.default_rng(0).permutation(len(examples))
    return [examples[i] for i in order.tolist()]


class _Ours:
    """Our side.

    Args:
        config: `Config`.
        examples: list of `Example`.
    """

    def __init__(self, config: Config, examples: list):
        import spanbert_keras
        from spanbert_keras.preprocessing.preprocessors.question_rows import QuestionRows

        self.config = config
        encoder = spanbert_keras.load_pretrained(config.encoder, "encoder")
        self.reader = spanbert_keras.SpanBertQuestionAnswerer(encoder, window_length=config.max_sequence_length)
        columns = ([getattr(one, name) for one in examples] for name in ("question", "context", "spans"))
        rows = self.reader.preprocessor.rows_of(*columns)
        wanted = config.steps * config.batch_size
        parts = (part[:wanted] for part in (rows.windows, rows.positions, rows.examples))
        self.rows = QuestionRows(*parts, rows.passages, rows.counts)
        self.steps = TrainingSteps(self.reader, self.rows, config.batch_size, LEARNING_RATE)

    def warm_up(self) -> None:
        """Compiles every shape."""
        self.steps.warm_up()
        self.reader.warm_up(self.config.batch_size)

    def answer(self, examples: list) -> list[str]:
        """Returns the answers' texts."""
        found = self.reader.answer(
            [e.question for e in examples], [e.context for e in examples], batch_size=self.config.batch_size
        )
        return [answer.text for answer in found]


class _Transformers:
    """`transformers` on torch.

    Args:
        config: `Config`.
        rows: the windows that our side trains on.
    """

    def __init__(self, config: Config, rows):
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        self.torch = torch
        self.config = config
        self.rows = rows
        self.model = transformers.BertForQuestionAnswering.from_pretrained(config.encoder)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(config.encoder)
        self.optimizer = make_adamw(self.model, LEARNING_RATE)
        self.orders = {"padded": self._shuffled(), "grouped": self._grouped()}

    def _shuffled(self) -> list[np.ndarray]:
        order = np.random.default_rng(1).permutation(len(self.rows.windows))
        return [part for part in np.array_split(order, -(-len(order) // self.config.batch_size))]

    def _grouped(self) -> list[np.ndarray]:
        """Returns shuffled batches of similar length: pools of shuffled windows are sorted and cut into batches."""
        lengths, size = np.array(self.rows.lengths), self.config.batch_size
        order = np.random.default_rng(1).permutation(len(lengths))
        pools = [order[i : i + POOL_SIZE * size] for i in range(0, len(order), POOL_SIZE * size)]
        batches = [pool[np.argsort(lengths[pool])][i : i + size] for pool in pools for i in range(0, len(pool), size)]
        return [batches[i] for i in np.random.default_rng(2).permutation(len(batches))]

    def train(self, kind: str, first: int, last: int) -> None:
        """Runs these steps, `padded` or `grouped`."""
        torch = self.torch
        self.model.train()
        for number in range(first, last):
            rows = self.orders[kind][number % len(self.orders[kind])]
            longest = max(len(self.rows.windows[row].token_ids) for row in rows)
            batch = self.rows.batch(rows, self.config.max_sequence_length if kind == "padded" else longest)
            tensors = {key: torch.from_numpy(value).long() for key, value in batch.items() if key != "answer_weights"}
            loss = self.model(
                input_ids=tensors["token_ids"],
                token_type_ids=tensors["segment_ids"],
                attention_mask=tensors["padding_mask"],
                start_positions=tensors["start_positions"][:, 0],
                end_positions=tensors["end_positions"][:, 0],
            ).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            loss.item()

    def answer(self, examples: list, padded: bool = False) -> list[str]:
        """Returns the answers' texts."""
        longest = self.config.max_sequence_length
        encoded = self.tokenizer(
            [e.question for e in examples],
            [e.context for e in examples],
            truncation="only_second",
            max_length=longest,
            stride=min(128, longest // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        owners = encoded.pop("overflow_to_sample_mapping")
        offsets = encoded.pop("offset_mapping")
        order = sorted(range(len(owners)), key=lambda i: len(encoded["input_ids"][i]))
        best: dict[int, tuple[float, str]] = {}
        self.model.eval()
        for start in range(0, len(order), self.config.batch_size):
            rows = order[start : start + self.config.batch_size]
            batch = self.tokenizer.pad(
                {key: [encoded[key][i] for i in rows] for key in encoded},
                return_tensors="pt",
                **({"padding": "max_length", "max_length": longest} if padded else {}),
            )
            with self.torch.no_grad():
                output = self.model(**batch)
            for row, i in enumerate(rows):
                score, span = self._best(output.start_logits[row].numpy(), output.end_logits[row].numpy(), encoded, i)
                context = examples[owners[i]].context
                if owners[i] not in best or score > best[owners[i]][0]:
                    best[owners[i]] = (score, context[offsets[i][span[0]][0] : offsets[i][span[1]][1]])
        return [best[i][1] for i in range(len(examples))]

    def _best(self, starts, ends, encoded, i: int) -> tuple[float, tuple[int, int]]:
        """Returns score and positions of the best span among the 20 best starts and ends inside the passage."""
        inside = np.array([part == 1 for part in encoded.sequence_ids(i)])
        starts, ends = (np.where(inside, x[: len(inside)], -1e9) for x in (starts, ends))
        pairs = (
            (float(starts[a] + ends[b]), (int(a), int(b)))
            for a in np.argsort(starts)[-20:]
            for b in np.argsort(ends)[-20:]
            if a <= b < a + MAX_ANSWER_LENGTH
        )
        return max(pairs, default=(-1e9, (int(inside.argmax()),) * 2))


def main(config: Config) -> None:
    """Measures and prints."""
    examples = examples_of(config)
    ours = _Ours(config, examples)
    theirs = _Transformers(config, ours.rows)
    ours.warm_up()
    theirs.train("padded", 0, 1)
    asked = examples[: config.questions]
    theirs.answer(asked[:4]), ours.answer(asked[:4])
    places = sum(min(config.steps, len(theirs.orders[k])) for k in theirs.orders)
    print(f"{len(ours.rows.windows)} windows, {config.batch_size} rows per step, {places // 2} different batches")
    compare_with_transformers(
        "training",
        config.steps,
        "steps",
        config.turns,
        ours.steps.train,
        lambda a, b, padded: theirs.train("padded" if padded else "grouped", a, b),
    )
    compare_with_transformers(
        "answering",
        len(asked),
        "contexts",
        config.turns,
        lambda a, b: ours.answer(asked[a:b]),
        lambda a, b, padded: theirs.answer(asked[a:b], padded),
    )
    print("\none question")
    latency("ours", examples[: config.latency_questions], ours.answer)
    latency("transformers", examples[: config.latency_questions], theirs.answer)


if __name__ == "__main__":
    program.run(main, Config)
