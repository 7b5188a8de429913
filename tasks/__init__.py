"""Programs for the tasks of the paper, each in a folder of its own."""
