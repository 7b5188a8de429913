"""GLUE, and one's own labelled texts or pairs of texts."""
