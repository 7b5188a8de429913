"""Extractive question answering. Shape letters: B batch, T tokens, A answers."""

import functools
from collections.abc import Iterator, Sequence
from typing import ClassVar

import keras
import numpy as np

from spanbert_keras.arguments import real_number, whole_number
from spanbert_keras.decoding.results import Answer, DocumentAnswer
from spanbert_keras.layers.functional import initializer
from spanbert_keras.losses.answer_span_loss import answer_span_losses
from spanbert_keras.models.bucketed_prediction import BucketedPrediction
from spanbert_keras.models.document_reader import Ranking, read_documents
from spanbert_keras.models.task_model import TaskModel
from spanbert_keras.models.temperature import checked_temperature, given_temperature
from spanbert_keras.models.windowed_reader import Reading, pad_windows, read
from spanbert_keras.preprocessing.document_index import DocumentIndex
from spanbert_keras.preprocessing.examples.given_questions import paired_texts
from spanbert_keras.preprocessing.examples.given_texts import given_texts
from spanbert_keras.preprocessing.length_buckets import row_lengths
from spanbert_keras.preprocessing.preprocessors.question_answerer_preprocessor import (
    SpanBertQuestionAnswererPreprocessor,
)
from spanbert_keras.preprocessing.question_windows import QuestionWindows, Window

SPANS_PER_WINDOW = 20  # best spans of a window that take part in a score (the released code's n-best size)


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertQuestionAnswerer(BucketedPrediction):
    """Answers questions with spans of a context: an encoder and one linear layer for the start and end of the answer.

    A functional model. One saved file holds weights, tokenizer and settings; `fit`, `predict` and `answer` take raw
    text. A long context is read in overlapping windows, and the answer is the best span of all windows.

    Args:
        encoder: `SpanBertEncoder`, with its tokenizer.
        input_order: `"question_first"`, [CLS] question [SEP] passage [SEP] (the default: published
            fine-tuned models, BERT's and the released code's, were trained so), or `"passage_first"`, [CLS] passage
            [SEP] question [SEP], as in the paper's section 4.1.
        window_length: int or `None`. Longest row, in word pieces. `None`: the encoder's `max_sequence_length`.
        stride: int. Passage pieces from one window's start to the next's. Defaults to `128` (paper, appendix B).
        max_question_pieces: int. Longest question, in pieces; the rest is cut. Defaults to `64` (released code).
        max_answer_pieces: int. Longest answer, in pieces. Defaults to `30` (released code).
        no_answer_threshold: float or `None`. The best answer is "no answer" if `Answer.no_answer_score` is above it.
            `None`: the model always answers (SQuAD 1.1, MRQA).
        special_tokens_in_text: bool. Whether a literal [SEP] in a context is read as that piece. Defaults to `False`.
        temperature: float. Number that logits are divided by for `Answer.score`: above 1 scores become less sure.
            `tasks.question_answering.evaluate --calibrated_model` fits it. Defaults to `1.0`. May be set.
        **kwargs: `preprocessor`, `dtype`, `name`, `trainable`; `backbone` means `encoder`. See `TaskModel`.

    Call arguments:
        token_ids, segment_ids, padding_mask: int32 `(B, T)`. See `SpanBertEncoder`.

    Returns:
        `{"start_logits": (B, T), "end_logits": (B, T)}`, float32.

    Raises:
        ValueError: an unknown order, invalid lengths, or an encoder without tokenizer.

    Example:

    ```python
    from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "wrote", "it", "?", "Ann", "did", "."]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    answerer = SpanBertQuestionAnswerer(encoder, max_question_pieces=8, stride=8)
    examples = {"question": ["who wrote it ?"], "context": ["Ann did ."], "answer_start": [0], "answer_text": ["Ann"]}
    answerer.fit(examples, epochs=2, verbose=0)
    answer = answerer.answer("who wrote it ?", "Ann did .")
    answer.text == "Ann did ."[answer.start : answer.end]  # True
    ```

    Reference: Joshi et al., 2020, section 4.1.
    """

    preprocessor_cls = SpanBertQuestionAnswererPreprocessor
    input_keys = ("token_ids", "segment_ids", "padding_mask")
    outputs_by_token = True
    target_keys = ("start_positions", "end_positions", "answer_weights")
    target_of: ClassVar = {"start_logits": "start_positions", "end_logits": "end_positions"}

    def __init__(
        self,
        encoder=None,
        input_order="question_first",
        window_length=None,
        stride=128,
        max_question_pieces=64,
        max_answer_pieces=30,
        no_answer_threshold=None,
        special_tokens_in_text=False,
        temperature=1.0,
        **kwargs,
    ):
        encoder = self.only_encoder(encoder, kwargs)
        window_length = encoder.max_sequence_length if window_length is None else window_length
        window_length = whole_number("window_length", window_length)
        max_answer_pieces = whole_number("max_answer_pieces", max_answer_pieces)
        if no_answer_threshold is not None:
            no_answer_threshold = real_number("no_answer_threshold", no_answer_threshold)
        if not window_length <= encoder.max_sequence_length:
            raise ValueError(
                f"`window_length` must be at most the encoder's {encoder.max_sequence_length} positions. "
                f"Received: window_length={window_length}."
            )
        # === Layers ===
        answer_head = keras.layers.Dense(2, kernel_initializer=initializer(), dtype="float32", name="answer_head")

        # === Graph ===
        def head(sequence, inputs):  # (B, T, D)
            logits = answer_head(sequence)  # (B, T, 2)
            return {"start_logits": logits[:, :, 0], "end_logits": logits[:, :, 1]}  # (B, T)

        super().__init__(encoder, head, **kwargs)

        # === Config ===
        self.answer_head = answer_head
        self.max_answer_pieces = max_answer_pieces
        self.no_answer_threshold = no_answer_threshold
        self.temperature = checked_temperature(temperature)
        self.windows = QuestionWindows(
            encoder.tokenizer,
            window_length,
            stride,
            max_question_pieces,
            input_order,
            special_tokens_in_text,
            encoder.num_segments,
        )
        self.counts = {"questions": 0, "questions_cut": 0, "answers_at_limit": 0}

    # --- asking

    def answer(
        self,
        questions: str | Sequence[str],
        contexts: str | Sequence[str],
        n_best: int | None = None,
        batch_size: int = 32,
        max_answer_pieces: int | None = None,
        max_question_pieces: int | None = None,
        stride: int | None = None,
        min_score: float = 0.0,
    ):
        """Returns the answer to a question, found in its context; several threads may call it.

        The model's `counts` are the number of questions asked, of those that were cut, and of answers that are as long
        as `max_answer_pieces` allows.

        Args:
            questions: str, or sequence of str (a list, tuple, NumPy array, pandas series, generator).
            contexts: str, or sequence of str. A single question or context goes with each one of a sequence.
            n_best: int or `None`. `None`: one `Answer`. A number: a list of at most `n_best` answers with different
                texts, best first.
            batch_size: int. Windows of the longest length that are computed at once, and of shorter ones as many
                tokens; memory grows with it. Of each context only the pieces of its windows are held, and twenty spans
                per window.
            max_answer_pieces, max_question_pieces, stride: int or `None`, which means the model's setting.
            min_score: float, from 0 to 1. Answers with a lower score are left out; if none remains, the answer is "no
                answer". Defaults to `0.0`.

        Returns:
            `Answer` for a question and a context, else a list with one entry for each; lists of `Answer` with `n_best`.

        Raises:
            InputError: a question or a context is not a str or has no words, there are more questions than contexts or
                the reverse, a number is not positive, or `min_score` is not a probability.
        """
        min_score = real_number("min_score", min_score, 0, 1)
        questions, contexts, single = paired_texts(questions, contexts)
        numbers = {
            "n_best": n_best,
            "batch_size": batch_size,
            "max_answer_pieces": max_answer_pieces,
            "max_question_pieces": max_question_pieces,
            "stride": stride,
        }
        for name, value in numbers.items():
            if value is not None or name == "batch_size":
                whole_number(name, value)
        readings = self.readings(questions, contexts, batch_size, max_answer_pieces, max_question_pieces, stride)
        answers = [
            self.answers_of(reading, context, n_best or 1, max_answer_pieces, min_score=min_score)
            for reading, context in zip(readings, contexts, strict=True)
        ]
        results = answers if n_best is not None else [found[0] for found in answers]
        return results[0] if single else results

    def read(
        self,
        question: str | Sequence[str],
        documents,
        top_k: int = 5,
        retrieve: int | None = 20,
        batch_size: int = 32,
        max_answer_pieces: int | None = None,
        max_question_pieces: int | None = None,
        stride: int | None = None,
        min_score: float = 0.0,
    ) -> list[DocumentAnswer] | list[list[DocumentAnswer]]:
        """Returns the best answers to a question in many documents; several threads may call it.

        Answers are ranked by their scores, each the one that `answer` gives it in its document. A document in which
        `answer` gives no answer has none here, so that a question that no document answers gets an empty list. Of
        answers that overlap in a document only the best is kept, as of those with the same text there. A document
        without a word that the tokenizer knows has no answers.

        Args:
            question: str, or sequence of str: several questions about the same documents.
            documents: list of str; or mapping from each document's id to its text; or list of dicts with `id` and
                `text`, or of objects with these attributes; or a `DocumentIndex` of them, which serves several calls.
            top_k: int. Most answers to a question. Defaults to `5`.
            retrieve: int or `None`. Documents that are read for a question: of more of them, those that BM25 ranks
                highest (extra `retrieval`) and that share a word with the question. `None`: all. Defaults to `20`.
            batch_size, max_answer_pieces, max_question_pieces, stride: see `answer`.
            min_score: float, from 0 to 1. Answers with a lower score are left out. Defaults to `0.0`.

        Returns:
            list of `DocumentAnswer`, best first; for several questions a list with such a list for each.

        Raises:
            InputError: documents are missing or not text, a question has no words, or a number is not positive.
            ImportError: `bm25s` is needed and not installed.
        """
        questions, single = given_texts(question, "question", "question")
        found = read_documents(
            self,
            questions,
            documents if isinstance(documents, DocumentIndex) else DocumentIndex(documents),
            Ranking(top_k, min_score),
            retrieve,
            batch_size=batch_size,
            max_answer_pieces=max_answer_pieces,
            max_question_pieces=max_question_pieces,
            stride=stride,
        )
        with self._one_call:
            self.counts["questions"] += len(found)
            self.counts["questions_cut"] += sum(one.question_cut for one in found)
            self.counts["answers_at_limit"] += sum(one.at_limit for one in found)
        return found[0].answers if single else [one.answers for one in found]

    def readings(
        self,
        questions: Sequence[str],
        contexts: Sequence[str],
        batch_size: int = 32,
        max_answer_pieces: int | None = None,
        max_question_pieces: int | None = None,
        stride: int | None = None,
        logits_of=None,
        window_length: int | None = None,
        spans_per_window: int = SPANS_PER_WINDOW,
    ) -> Iterator[Reading]:
        """Yields the candidates that `answer` chooses from: a `Reading` for every question, in order.

        Args:
            questions, contexts, batch_size, max_answer_pieces, max_question_pieces, stride: see `answer`.
            logits_of: function from a batch of inputs to its logits as arrays. `None`: this model.
            window_length: int. At most the encoder's `max_sequence_length`. `None`: the model's setting.
            spans_per_window: int. Best spans of a window that are candidates.
        """
        limits = {"window_length": window_length, "max_question_pieces": max_question_pieces, "stride": stride}
        windows = self.windows.replace(**limits)
        return read(
            questions,
            contexts,
            windows,
            logits_of or self.compute_rows,
            functools.partial(
                self.batches_of,
                longest=windows.window_length,
                batch_size=batch_size,
                static=logits_of is not None,
            ),
            batch_size,
            max_answer_pieces or self.max_answer_pieces,
            spans_per_window,
        )

    def warm_up(self, batch_size: int = 32) -> None:
        """Compiles all that `answer` uses with this batch size, on JAX at most eight shapes, so that no call waits."""
        piece = np.zeros(1, np.int32)
        window = Window((piece, piece), (0, 0), 1, 1, 0, 1)
        for length in row_lengths(self.windows.window_length):
            for rows in sorted({1, batch_size}):
                self.compute_rows(pad_windows([window], rows, length))

    def answers_of(
        self,
        reading: Reading,
        context: str,
        n_best: int,
        max_answer_pieces: int | None = None,
        may_refuse: bool = True,
        min_score: float = 0.0,
    ) -> list[Answer]:
        """Returns the `n_best` answers found in a context, best first, each text once.

        The best one is "no answer" if its score is above the threshold; with `may_refuse=False` the threshold is
        ignored. It is the only one if all scores are below `min_score`.
        """
        threshold = self.no_answer_threshold if may_refuse else None
        max_answer_pieces = max_answer_pieces or self.max_answer_pieces
        candidates = reading.candidates
        probabilities, of_none = reading.probabilities(checked_temperature(self.temperature))
        no_answer_score = candidates.no_answer_score
        unanswered = threshold is not None and no_answer_score > threshold
        none = Answer("", None, None, of_none, no_answer_score)
        answers, texts = ([none] if unanswered else []), set()
        spans = zip(candidates.starts.tolist(), candidates.ends.tolist(), probabilities.tolist(), strict=True)
        at_limit = 0
        for first, last, probability in spans:
            if threshold is not None and answers and none not in answers and of_none > max(probability, min_score):
                answers.append(none)
            if len(answers) >= n_best or probability < min_score:
                break
            start, end = reading.passage.characters_of(first, last)
            if context[start:end] not in texts:
                texts.add(context[start:end])
                at_limit += last - first + 1 == max_answer_pieces and not answers
                answers.append(Answer(context[start:end], start, end, probability, no_answer_score))
        with self._one_call:
            self.counts["questions"] += 1
            self.counts["questions_cut"] += reading.question_cut
            self.counts["answers_at_limit"] += at_limit
        return answers or [none]

    # --- training

    def example_losses(self, outputs, batch):
        """Returns the loss of every row, float32 `(B,)`; see `answer_span_losses` for the targets."""
        return answer_span_losses(
            outputs["start_logits"],
            outputs["end_logits"],
            batch["padding_mask"],
            *(batch[key] for key in self.target_keys),
        )

    def comparable(self, key, targets):
        """Returns positions as Keras' losses and metrics take them: one answer per row."""
        if len(targets.shape) > 1 and targets.shape[1] != 1:
            raise ValueError(
                f"Keras' losses and metrics compare with one answer per row. Expected: `{key}` of shape (B, 1). "
                f"Received: {tuple(targets.shape)}. Compile without them, or give `y` by the outputs' names."
            )
        return targets

    def preprocessor_settings(self):
        return {
            "window_length": self.windows.window_length,
            "stride": self.windows.stride,
            "max_question_pieces": self.windows.max_question_pieces,
            "input_order": self.windows.input_order,
            "max_answer_pieces": self.max_answer_pieces,
            "special_tokens_in_text": self.windows.special_tokens_in_text,
            "num_segments": self.encoder.num_segments,
        }

    # --- saving

    def get_config(self):
        return TaskModel.get_config(self) | {
            "input_order": self.windows.input_order,
            "window_length": self.windows.window_length,
            "stride": self.windows.stride,
            "max_question_pieces": self.windows.max_question_pieces,
            "max_answer_pieces": self.max_answer_pieces,
            "no_answer_threshold": self.no_answer_threshold,
            "special_tokens_in_text": self.windows.special_tokens_in_text,
            **given_temperature(self.temperature),
        }
