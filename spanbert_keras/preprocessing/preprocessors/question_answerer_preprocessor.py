"""Questions about contexts for the reader. Shape letters: E examples, N windows, T tokens, A answers."""

from collections.abc import Sequence
from typing import ClassVar

import keras

from spanbert_keras.arguments import one_of
from spanbert_keras.preprocessing.examples.given_questions import given_questions
from spanbert_keras.preprocessing.length_buckets import row_lengths
from spanbert_keras.preprocessing.preprocessors.question_rows import QuestionRows, make_rows
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor
from spanbert_keras.preprocessing.question_windows import QuestionWindows

CHOICES = {"answers": ("one", "all"), "first_answer": ("file", "position")}
WINDOW_SETTINGS = (
    "window_length",
    "stride",
    "max_question_pieces",
    "input_order",
    "special_tokens_in_text",
    "num_segments",
)


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertQuestionAnswererPreprocessor(TaskPreprocessor):
    """Turns questions, their contexts and answers into what `SpanBertQuestionAnswerer` computes with.

    A long context makes several overlapping windows, a row each. In training, the target of a window that does not
    hold the whole answer is [CLS], and so is that of every window of a question without answer.

    Args:
        tokenizer: `SpanBertTokenizer`. `None`: the model's.
        window_length: int. Longest row, in word pieces. Defaults to `512` (paper, appendix B).
        stride: int. Context pieces from one window's start to the next's. Defaults to `128` (appendix B).
        max_question_pieces: int. Longest question, in pieces; the rest is cut. Defaults to `64` (released code).
        input_order: `"question_first"`, [CLS] question [SEP] context [SEP] (the default), or `"passage_first"`,
            [CLS] context [SEP] question [SEP], as in the paper's section 4.1.
        max_answer_pieces: int. Longest answer that the model can give, in pieces; longer ones are trained on and
            counted. Defaults to `30` (released code).
        special_tokens_in_text: bool. Whether a literal [SEP] in a context is read as that piece. Defaults to `False`.
        num_segments: int. Number of segments of the encoder. Defaults to `2`.
        answers: `"one"` (the default): of several answers one is the target; or `"all"`: the loss is that of their
            total probability, of at most 16 in a window.
        first_answer: `"file"` (the default): that one is the first as given; or `"position"`: the earliest in the
            context, as in MRQA's released code.

    Settings that are not given are those of the model, if the preprocessor belongs to one; `answers` and `first_answer`
    are the preprocessor's alone.

    Call arguments:
        x: dict of `question` and `context`, lists or arrays of E str (a single str goes with all of the others), and
            optionally of the answers: `answer_start`, E int, and `answer_text`, E str; of several answers lists of them
            for each question. An empty text or list: the question has no answer. `answer_start` counts characters
            (code points) of the context from 0. The answers may also be `answers`, `{"text": [...],
            "answer_start": [...]}` for each question, as in the SQuAD of Hugging Face. Or a list of E such dicts, one
            for each question. Other entries are ignored. In `tf.data`: a dict of tensors `(E,)`.
        y: the answers, a dict of `answer_start` and `answer_text`, if they are not in x; or `None`.
        sample_weight: float `(E,)` or `None`. Weight of each question, and so of its windows.

    Returns:
        x, (x, y) or (x, y, sample_weight): x a dict of `token_ids`, `segment_ids` and `padding_mask`, int32 `(N, T)`;
        y, if there are answers, a dict of `start_positions` and `end_positions`, int32 `(N, A)`, and `answer_weights`,
        float32 `(N, A)`; sample_weight float32 `(N,)`.

    Raises:
        ValueError: an unknown order or choice, or lengths that leave no room for a context.
        InputError: a text is not a str or has no words, columns differ in length, or an answer does not stand in its
            context at `answer_start`.

    Example:

    ```python
    from spanbert_keras import SpanBertQuestionAnswererPreprocessor, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "wrote", "it", "?", "Ann", "did", "."]
    preprocessor = SpanBertQuestionAnswererPreprocessor(SpanBertTokenizer(vocabulary))
    questions = {"question": ["who wrote it ?", "who wrote it ?"], "context": ["Ann did .", "it did ."]}
    x, y = preprocessor(questions, {"answer_start": [0, -1], "answer_text": ["Ann", ""]})
    x["token_ids"][0, :10]  # [2, 5, 6, 7, 8, 3, 9, 10, 11, 3]
    y["start_positions"]  # [[6], [0]]
    ```

    Reference: Joshi et al., 2020, section 4.1 and appendix B.
    """

    defaults: ClassVar = {
        "window_length": 512,
        "stride": 128,
        "max_question_pieces": 64,
        "input_order": "question_first",
        "max_answer_pieces": 30,
        "special_tokens_in_text": False,
        "num_segments": 2,
        "answers": "one",
        "first_answer": "file",
    }

    def __init__(
        self,
        tokenizer=None,
        window_length=None,
        stride=None,
        max_question_pieces=None,
        input_order=None,
        max_answer_pieces=None,
        special_tokens_in_text=None,
        num_segments=None,
        answers=None,
        first_answer=None,
        **kwargs,
    ):
        settings = {
            "window_length": window_length,
            "stride": stride,
            "max_question_pieces": max_question_pieces,
            "input_order": input_order,
            "max_answer_pieces": max_answer_pieces,
            "special_tokens_in_text": special_tokens_in_text,
            "num_segments": num_segments,
            "answers": answers,
            "first_answer": first_answer,
        }
        super().__init__(tokenizer, settings, **kwargs)
        self._windows()  # checks the settings
        for name, choices in CHOICES.items():
            one_of(name, self.settings[name], choices)

    def rows(self, x, y=None, sample_weight=None) -> QuestionRows:
        """Returns the windows of each question, with the positions of its answers; see the call arguments."""
        return self.rows_of(*given_questions(x, y), sample_weight)

    def rows_of(
        self,
        questions: Sequence[str],
        contexts: Sequence[str],
        spans: Sequence[Sequence[tuple[int, int]]] | None,
        sample_weight=None,
    ) -> QuestionRows:
        """Returns the same rows, if the places of the answers are known and need no check.

        Args:
            questions, contexts: sequences of E str.
            spans: sequence of E sequences of (start, end), half-open places of characters in the context, or `None`.
            sample_weight: float `(E,)` or `None`.
        """
        settings = self.settings
        chosen = {name: settings[name] for name in ("max_answer_pieces", "answers", "first_answer")}
        return make_rows(questions, contexts, spans, self._windows(), **chosen, sample_weight=sample_weight)

    def row_length_for(self, rows) -> int:
        """Returns the length that all of these rows are padded to: one of four."""
        longest = int(rows.lengths.max(initial=1))
        return next(length for length in row_lengths(self.settings["window_length"]) if length >= longest)

    def target_spec(self, x, y):
        """Returns the `tf.TensorSpec` of each target; one answer for each question, unless lists of them are given."""
        import tensorflow as tf

        given = x if y is None else y
        starts = given.get("answers", given).get("answer_start")
        if starts is None:
            return None
        count = 1 if len(starts.shape) == 1 or self.settings["answers"] == "one" else None
        positions = tf.TensorSpec((None, count), tf.int32)
        weights = tf.TensorSpec((None, count), tf.float32)
        return {"start_positions": positions, "end_positions": positions, "answer_weights": weights}

    def _windows(self) -> QuestionWindows:
        settings = self.settings
        return QuestionWindows(self.tokenizer, **{name: settings[name] for name in WINDOW_SETTINGS})
