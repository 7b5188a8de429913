"""Scores and examples of the held-out sets, during a run and at its end."""

import dataclasses

import numpy as np

from spanbert_keras.pretraining.data import PretrainingData
from spanbert_keras.pretraining.held_out import HeldOut, evaluate
from spanbert_keras.pretraining.monitor import PretrainingMonitor
from spanbert_keras.pretraining.span_examples import SpanExample, as_markdown, span_examples
from spanbert_keras.training.steps.step import Step


class HeldOutEvaluator:
    """Scores the held-out sets during a run.

    Args:
        step: `Step`.
        held_out: list of `HeldOut`; examples are taken from the first.
        data: `PretrainingData`.
        monitor: `PretrainingMonitor`. Shows the scores.
        num_examples: int. Spans to show.
    """

    def __init__(
        self,
        step: Step,
        held_out: list[HeldOut],
        data: PretrainingData,
        monitor: PretrainingMonitor,
        num_examples: int,
    ):
        self.step = step
        self.held_out = held_out
        self.data = data
        self.monitor = monitor
        self.num_examples = num_examples

    def evaluate(self, done: int, boundaries: bool = False) -> tuple[dict[str, dict[str, float]], list[SpanExample]]:
        """Scores every held-out set, writes the scores and the text panel.

        Args:
            done: int. Updates made.
            boundaries: bool. Also scores spans with the boundaries of others (`held_out.evaluate`).

        Returns:
            The scores by set and tag, and the list of `SpanExample`.
        """
        data, scores = self.data, {}
        for held_out in self.held_out:
            arguments = (data.tokenizer.mask_token_id, data.unigram, boundaries, self.monitor.span_boundary)
            found = evaluate(self.step, held_out, *arguments)
            scores[held_out.name] = found
            self.monitor.on_scores(f"heldout_{held_out.name}", done, found)
        examples = self._examples()
        if self.step.distribution.is_chief:
            writer = self.monitor.writer(f"heldout_{self.held_out[0].name}")
            writer.text("predicted_spans", as_markdown(examples), done)
            writer.flush()
        return scores, examples

    def _examples(self) -> list[SpanExample]:
        """Returns held-out spans with both heads' words, from the first batches that have enough of them."""
        found: list[SpanExample] = []
        distribution = self.step.distribution
        for batch in self.held_out[0].batches(distribution.worker, distribution.num_workers):
            results = self.step.to_numpy(self.step.evaluate(batch))
            found += span_examples(results, batch, self.data.tokenizer, self.num_examples - len(found))
            # The chief's are shown; all workers stop with it, since every evaluation needs all of them.
            if distribution.sum(np.array([float(len(found) * distribution.is_chief)]))[0] >= self.num_examples:
                break
        if self.monitor.span_boundary:
            return found
        return [dataclasses.replace(example, span_boundary="-") for example in found]
