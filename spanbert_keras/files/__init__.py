"""Files: what they hold by their first bytes, faults of text files, and writing that leaves no half file."""
