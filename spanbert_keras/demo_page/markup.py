"""Small pieces of HTML that the tabs share. Every text in them is escaped."""

import html
from collections.abc import Collection, Iterable, Sequence

BARS_SHOWN = 8  # of the probabilities; the others are one click away


def escaped(text: str) -> str:
    """Returns a text as HTML."""
    return html.escape(text)


def panel(*parts: str) -> str:
    """Returns pieces of HTML as one result."""
    return f'<div class="sb" role="status">{"".join(parts)}</div>'


def error_sentence(error: Exception | str) -> str:
    """Returns an error, such as a user's mistake, as a result of one sentence."""
    return f'<div class="sb"><p class="sb-error" role="alert">{escaped(str(error))}</p></div>'


def heading(text: str) -> str:
    """Returns a title above a part of a result."""
    return f"<h3>{escaped(text)}</h3>"


def note(text: str) -> str:
    """Returns a remark."""
    return f'<p class="sb-note">{escaped(text)}</p>'


def conclusion(label: str, score: str = "") -> str:
    """Returns the main result in large letters, and its score."""
    return f'<p class="sb-answer"><b>{escaped(label)}</b> <span>{escaped(score)}</span></p>'


def percent(share: float) -> str:
    """Returns a probability as text, e.g. `"12.5 %"`."""
    return f"{100 * share:.1f} %"


def bars(scores: Iterable[tuple[str, float]], chosen: Collection[str] = ()) -> str:
    """Returns probabilities as a table with a bar in each row, the largest first.

    Args:
        scores: iterable of (label, probability).
        chosen: labels to emphasise; a tick shows them, too.

    Returns:
        str. HTML; after the first `BARS_SHOWN` rows the others are folded.
    """
    rows = sorted(scores, key=lambda one: -one[1])
    first, rest = _bar_rows(rows[:BARS_SHOWN], chosen), rows[BARS_SHOWN:]
    if not rest:
        return first
    return f"{first}<details><summary>{len(rest)} more</summary>{_bar_rows(rest, chosen)}</details>"


def _bar_rows(rows: Sequence[tuple[str, float]], chosen: Collection[str]) -> str:
    cells = "".join(
        f'<tr{" class=sb-chosen" if label in chosen else ""}><th scope="row">{escaped(label)}'
        f"{' ✓' if label in chosen else ''}</th>"
        f'<td class="sb-track"><div style="width:{100 * share:.1f}%"></div></td>'
        f'<td class="sb-number">{percent(share)}</td></tr>'
        for label, share in rows
    )
    return f'<table class="sb-bars"><tbody>{cells}</tbody></table>'


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table; the cells are HTML already."""
    head = "".join(f'<th scope="col">{escaped(title)}</th>' for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    inside = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="sb-wide"><table class="sb-table">{inside}</table></div>'
