"""The paper's ablations (Tables 6 and 7) and main comparison with one command."""
