"""The tab of a question answerer."""

from spanbert_keras.decoding.marked_text import MarkedPart, marked_text
from spanbert_keras.decoding.results import Answer
from spanbert_keras.demo_page import markup
from spanbert_keras.demo_page.tab import Field, Tab, written

AROUND = 40  # characters shown before and after an answer in the table
CONTEXT = (
    "The lighthouse was built in 1871 by the engineer Maria Holm. It stands on a rock in the bay and was lit with oil "
    "until 1922, when electric lamps replaced the old burner. Since 1980 the tower has been a museum, which shows its "
    "lens."
)


def question_tab(reader) -> Tab:
    """Returns the tab of a `SpanBertQuestionAnswerer`."""
    return Tab(
        title="Question answering",
        about="Finds the answer to a question in a text.",
        button="Answer",
        fields=[
            Field(kind="line", label="Question", example="Who built the lighthouse?"),
            Field(kind="text", label="Context", example=CONTEXT),
            Field(kind="number", label="Number of answers", example=3, value=3, choices=(1, 10, 1)),
        ],
        show=lambda question, context, count: show_answers(
            reader.answer(written(question, "question"), written(context, "context"), n_best=int(count or 1)), context
        ),
    )


def show_answers(answers: list[Answer], context: str) -> str:
    """Returns the best answer marked in its context, and a table of all answers.

    Args:
        answers: list of `Answer`, best first.
        context: str.
    """
    best = answers[0]
    marks = [] if best.start is None or best.end is None else [MarkedPart(best.start, best.end, 0)]
    label = " ".join(best.text.split()) if marks else "No answer in this context"
    parts = [
        markup.conclusion(label, markup.percent(best.score)),
        f'<div class="sb-text">{marked_text(context, marks)}</div>',
    ]
    if len(answers) > 1:
        rows = [(markup.percent(one.score), _in_context(one, context)) for one in answers]
        parts += [markup.heading("All answers"), markup.table(("Probability", "Answer"), rows)]
    return markup.panel(*parts)


def _in_context(answer: Answer, context: str) -> str:
    """Returns an answer with the text around it, as HTML."""
    if answer.start is None or answer.end is None:
        return "<i>no answer</i>"
    first, last = max(0, answer.start - AROUND), min(len(context), answer.end + AROUND)
    before, after = context[first : answer.start], context[answer.end : last]
    dots = ("…" if first else "", "…" if last < len(context) else "")
    return (
        f"{dots[0]}{markup.escaped(before)}<strong>{markup.escaped(answer.text)}</strong>"
        f"{markup.escaped(after)}{dots[1]}"
    )
