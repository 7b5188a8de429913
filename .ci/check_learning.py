"""Says whether a finished run learned more than word frequencies: reads its run.json, fails where it did not."""

import json
import pathlib
import sys

MARGIN = 0.3  # nat a piece below the unigram line, on held-out pieces that were replaced by [MASK]


def main(folder: str) -> None:
    scores = json.loads((pathlib.Path(folder) / "run.json").read_text(encoding="utf-8"))["scores"]["span"]
    gains = {
        head: scores[f"{head}/unigram_loss_masked"] - scores[f"{head}/loss_masked"]
        for head in ("masked_lm", "span_boundary")
    }
    other = scores["span_boundary/loss_other_boundaries"] - scores["span_boundary/loss"]
    print(f"below the unigram line: {gains}; other spans' boundaries cost {other:.3f} nat")
    if min(gains.values()) < MARGIN or other < MARGIN:
        sys.exit(f"Expected: each figure at least {MARGIN} nat.")


if __name__ == "__main__":
    main(sys.argv[1])
