"""Checks in run.json that a finished run learned more than word frequencies; fails otherwise."""

import json
import pathlib
import sys

MARGIN = 0.3  # nat per token below the unigram line, on held-out tokens that were replaced by [MASK]


def main(folder: str) -> None:
    """Prints by how much the run in a folder is better than word frequencies, and fails if that is too little."""
    scores = json.loads((pathlib.Path(folder) / "run.json").read_text(encoding="utf-8"))["scores"]["span"]
    gains = {
        head: scores[f"{head}/unigram_loss_masked"] - scores[f"{head}/loss_masked"]
        for head in ("masked_lm", "span_boundary")
    }
    other = scores["span_boundary/loss_other_boundaries"] - scores["span_boundary/loss"]
    print(f"below the unigram line: {gains}; with other spans' boundaries {other:.3f} nat worse")
    if min(gains.values()) < MARGIN or other < MARGIN:
        sys.exit(f"Expected: each figure at least {MARGIN} nat.")


if __name__ == "__main__":
    main(sys.argv[1])
