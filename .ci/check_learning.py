"""Checks in a run.json that the finished run learned more than word frequencies; fails otherwise.

Both losses must be below the unigram baseline on held-out tokens that were replaced by [MASK], and the span boundary
loss must be higher with the boundaries of other spans.
"""

import json
import pathlib
import sys

MARGIN = 0.3  # nats per token


def main(folder: str) -> None:
    """Prints by how much the run in a folder is better than word frequencies, and fails if that is too little."""
    scores = json.loads((pathlib.Path(folder) / "run.json").read_text(encoding="utf-8"))["scores"]["span"]
    gains = {
        head: scores[f"{head}/unigram_loss_masked"] - scores[f"{head}/loss_masked"]
        for head in ("masked_lm", "span_boundary")
    }
    other = scores["span_boundary/loss_other_boundaries"] - scores["span_boundary/loss"]
    shown = ", ".join(f"{head} {gain:.3f}" for head, gain in gains.items())
    print(f"Nats per token below the unigram baseline: {shown}.")
    print(f"The span boundary loss is {other:.3f} nats per token higher with the boundaries of other spans.")
    if min(gains.values()) < MARGIN or other < MARGIN:
        sys.exit(f"Expected: each figure at least {MARGIN} nats per token.")


if __name__ == "__main__":
    main(sys.argv[1])
