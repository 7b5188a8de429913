"""Pairs of segments for next-sentence prediction: units of text, pairs, their index and their rows."""
