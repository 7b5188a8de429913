// Question answering. Spans are half-open and in UTF-16 units, like slices of strings.

/** A marked text: `names` are gold, predicted, or both, and first or last where the prediction begins or ends. */
const mark = (text, ...names) => make("mark", { className: names.join(" "),
  title: names.filter((name) => name === "gold" || name === "predicted").join(" and ") + " answer" }, text);

/** Nodes of text[from:to], cut at the ends of spans; each is marked as gold, predicted, or both. */
function marked(text, from, to, gold, predicted) {
  const spans = predicted ? [...gold, predicted] : gold;
  const cuts = [from, to, ...spans.flat().filter((at) => at > from && at < to)];
  const ends = [...new Set(cuts)].sort((a, b) => a - b);
  return ends.slice(1).map((end, i) => {
    const start = ends[i];
    const within = (span) => span[0] <= start && end <= span[1];
    const names = gold.some(within) ? ["gold"] : [];
    if (predicted && within(predicted)) {
      names.push("predicted", ...(start === predicted[0] ? ["first"] : []), ...(end === predicted[1] ? ["last"] : []));
    }
    return names.length ? mark(text.slice(start, end), ...names) : text.slice(start, end);
  });
}

const number = (value) => value === null ? "–" : value.toFixed(Math.abs(value) < 100 ? 3 : 1).replace("-", "−");
const noAnswer = () => make("span", { className: "none" }, "no answer");

/** The accepted answers, each text once, and the prediction, drawn as in the context. */
function answersOf(row) {
  const times = new Map();
  for (const text of row.gold) times.set(text, (times.get(text) || 0) + 1);
  const muted = (text) => make("span", { className: "muted" }, text);
  const gold = [...times].flatMap(([text, count], i) =>
    [i ? " · " : "", mark(text, "gold"), count > 1 ? muted(` ×${count}`) : ""]);
  const predicted = row.predicted ? [mark(row.predicted, "predicted", "first", "last")] : [noAnswer()];
  if (row.predicted && !row.predicted_span) predicted.push(muted(" (not in the context)"));
  return make("dl", { className: "answers" },
    ...pairs([["Gold", ...(gold.length ? gold : [noAnswer()])], ["Predicted", ...predicted]]));
}

/** The best answers, folded. */
function candidatesOf(row) {
  const line = ([text, score], i) => make("tr", {}, make("td", { className: "muted" }, String(i + 1)),
    make("td", { dir: "auto" }, !text ? noAnswer() : row.gold.includes(text) ? mark(text, "gold") : text),
    make("td", {}, number(score)));
  const head = make("tr", {}, ...["#", "Answer", "Score"].map((name) => make("th", { scope: "col" }, name)));
  return make("details", {}, make("summary", {}, `Best answers (${row.candidates.length})`),
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...row.candidates.map(line))));
}

function questionAnswering(data) {
  const { rows, contexts, articles } = data;
  const right = (row) => row.exact;
  const partly = (row) => !row.exact && row.f1 > 0;
  const wrong = (row) => !row.exact && !(row.f1 > 0);
  const kinds = [
    { key: "all", label: "All", test: () => true },
    { key: "right", label: "Right", sign: "✓", test: right },
    { key: "partly", label: "Partly right", sign: "≈", test: partly },
    { key: "wrong", label: "Wrong", sign: "✗", test: wrong },
    { key: "extra", label: "answered, but has no answer", test: (row) => wrong(row) && !row.gold.length, part: true },
    { key: "missed", label: "not answered, but has an answer", test: (row) => wrong(row) && !row.predicted, part: true },
    { key: "other", label: "another answer", test: (row) => wrong(row) && row.gold.length && row.predicted, part: true },
  ];
  const judges = rows.some((row) => row.no_answer_score !== null);
  const scored = [["f1", "F1"], ["score", "score"], ...(judges ? [["no_answer_score", "no-answer score"]] : [])];
  const sorts = [
    { key: "file", label: "file order" },
    ...scored.flatMap(([key, label]) => [
      { key: `${key}-up`, label: `${label}, lowest first`, value: (row) => row[key] },
      { key: `${key}-down`, label: `${label}, highest first`, value: (row) => row[key], down: true }]),
  ];
  let lowered;  // made by the first search: contexts once each, and each row's own texts
  const finder = (words) => {
    lowered ||= { contexts: contexts.map((text) => text.toLowerCase()), rows: new Map(rows.map((row) => [row,
      [row.id, row.question, row.predicted, ...row.gold].join("\n").toLowerCase()])) };
    const inContext = lowered.contexts.map((text) => words.map((word) => text.includes(word)));
    return (row) => words.every((word, i) => inContext[row.context][i] || lowered.rows.get(row).includes(word));
  };
  const card = (row) => {
    const kind = kinds.slice(1, 4).find((each) => each.test(row));
    const part = kinds.slice(4).find((each) => each.test(row));
    const article = articles[row.article] ? `${articles[row.article].replaceAll("_", " ")} · ` : "";
    const scores = [["F1", row.f1 === null ? "–" : row.f1.toFixed(2)], ["Exact", row.exact ? "yes" : "no"],
      ["Score", number(row.score)], ...(judges ? [["No-answer score", number(row.no_answer_score)]] : [])];
    const text = contexts[row.context];
    const spans = [...row.gold_spans, ...(row.predicted_span ? [row.predicted_span] : [])];
    const draw = (from, to) => marked(text, from, to, row.gold_spans, row.predicted_span);
    const side = make("div", { className: "side" }, answersOf(row),
      make("dl", { className: "scores" }, ...pairs(scores)), row.candidates.length ? candidatesOf(row) : "");
    return make("article", { className: `card ${kind.key}` },
      make("div", { className: "top" },
        make("span", { className: "badge" }, `${kind.sign} ${kind.label}${part ? `: ${part.label}` : ""}`),
        make("span", { className: "muted" }, article, make("code", {}, row.id))),
      make("h2", { dir: "auto" }, row.question),
      make("div", { className: "columns" }, contextOf(text, spans, draw), side));
  };
  byId("legend").append(...[mark("gold answer", "gold"), mark("predicted answer", "predicted", "first", "last"),
    mark("both", "gold", "predicted", "first", "last")].map((drawn) => make("span", {}, drawn)));
  return { rows, card, sorts, finder, filters: kinds, facts: data.facts, noun: ["question", "questions"],
    partsLabel: "Wrong:", findHint: "words of a question, context or answer, or an id",
    groups: { label: "Article", names: articles, of: (row) => articles[row.article] } };
}

browse(questionAnswering(JSON.parse(byId("data").textContent)));
