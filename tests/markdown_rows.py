"""Reads tables in Markdown."""


def row_of(text, name):
    """Returns the cells of the rows with this name, after the name; [] if there is none."""
    rows = [line.split("|") for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for row in rows for cell in row[2:-1]]
