// Coreference: one card per error. Spans are half-open and in UTF-16 units, like slices of strings.

const MAX_LISTED = 12;  // mentions of a chain in a list
const NEAR = 3;  // mentions of each chain that a shortened text shows
const GOLDEN_ANGLE = 137.508;  // degrees between the hues of chains that follow each other

/** The marks of a card: {span, names, number}; `number` distinguishes the chains of a card, from 1. */
const marksOf = {
  missed: (row, { gold }) => chainMarks(gold[row.chain], "gold", row.mention),
  invented: (row, { predicted }) => chainMarks(predicted[row.chain], "predicted", row.mention),
  merged: (row, { gold, predicted }) => numberedMarks(predicted[row.chain], row.others.map((i) => gold[i])),
  split: (row, { gold, predicted }) => numberedMarks(gold[row.chain], row.others.map((i) => predicted[i])),
};

const chainMarks = (chain, name, mention) =>
  chain.map((span, i) => ({ span, names: i === mention ? [name, "target"] : [name], number: 0 }));

function numberedMarks(chain, parts) {
  const numbers = new Map(parts.flatMap((part, i) => part.map((span) => [String(span), i + 1])));
  return chain.map((span) => {
    const number = numbers.get(String(span)) || 0;
    return { span, names: number ? ["numbered"] : ["other"], number };
  });
}

/** An element for a marked text; `ends` may hold "first" and "last". */
function drawn(text, { names, number }, ends = []) {
  const element = make("mark", { className: [...names, ...ends].join(" ") }, text);
  if (number) {
    element.style.setProperty("--hue", String(Math.round(number * GOLDEN_ANGLE) % 360));
    if (ends.includes("last")) element.append(make("sub", {}, String(number)));
  }
  return element;
}

/** Nodes of text[from:to]; of nested mentions, the innermost is drawn. */
function markedText(text, marks, from, to) {
  const near = marks.filter(({ span }) => span[0] < to && span[1] > from);
  const cuts = new Set([from, to, ...near.flatMap(({ span }) => span).filter((at) => at > from && at < to)]);
  const ends = [...cuts].sort((a, b) => a - b);
  return ends.slice(1).map((end, i) => {
    const start = ends[i];
    const over = near.filter(({ span }) => span[0] <= start && end <= span[1]);
    if (!over.length) return text.slice(start, end);
    const inner = over.reduce((a, b) => b.span[1] - b.span[0] < a.span[1] - a.span[0] ? b : a);
    const target = over.find(({ names }) => names.includes("target")) || inner;
    const at = [...(start === target.span[0] ? ["first"] : []), ...(end === target.span[1] ? ["last"] : [])];
    return drawn(text.slice(start, end), target, at);
  });
}

/** The marks around which a long text is shortened: the mention and its neighbours, or the first of each chain. */
function nearest(marks) {
  const target = marks.findIndex(({ names }) => names.includes("target"));
  if (target >= 0) return marks.slice(Math.max(0, target - 1), target + 2);
  const seen = new Map();
  return marks.filter(({ number }) => {
    seen.set(number, (seen.get(number) || 0) + 1);
    return number && seen.get(number) <= NEAR;
  });
}

/** The first mentions of a chain, each drawn as in the text. */
function listed(text, marks) {
  const shown = marks.slice(0, MAX_LISTED).flatMap((mark, i) =>
    [i ? " · " : "", drawn(text.slice(...mark.span), mark, ["first", "last"])]);
  const more = marks.length - MAX_LISTED;
  return more > 0 ? [...shown, make("span", { className: "muted" }, ` and ${grouped(more)} more`)] : shown;
}

function sideOf(row, text, marks) {
  const single = { missed: "Gold chain", invented: "Predicted chain" }[row.kind];
  if (single) return [[`${single}, ${grouped(marks.length)}`, ...listed(text, marks)]];
  const one = row.kind === "merged" ? "Gold chain" : "Predicted chain";
  const groups = row.others.map((_, i) => marks.filter(({ number }) => number === i + 1));
  const rest = marks.filter(({ number }) => !number);
  return [
    ...groups.map((group, i) => [`${one} ${i + 1}, ${grouped(group.length)} ${group.length === 1 ? "mention" : "mentions"}`, ...listed(text, group)]),
    ...(rest.length ? [[row.kind === "merged" ? "In no gold chain" : "Missed", ...listed(text, rest)]] : []),
  ];
}

function coreference({ facts, documents, rows }) {
  const lone = (row) => row.kind === "missed" && documents[row.document].gold[row.chain].length === 1;
  const kinds = [
    { key: "all", label: "All", test: () => true },
    { key: "missed", label: "Missed", sign: "−", test: (row) => row.kind === "missed" },
    { key: "invented", label: "Invented", sign: "+", test: (row) => row.kind === "invented" },
    { key: "merged", label: "Merged", sign: "⋃", test: (row) => row.kind === "merged" },
    { key: "split", label: "Split", sign: "÷", test: (row) => row.kind === "split" },
  ];
  if (rows.some(lone)) {
    kinds.push(
      { key: "of-chain", label: "of a chain", test: (row) => row.kind === "missed" && !lone(row), part: true },
      { key: "lone", label: "mentioned once", test: lone, part: true });
  }
  const marks = (row) => marksOf[row.kind](row, documents[row.document]);
  const words = (row) => marks(row).map(({ span }) => documents[row.document].text.slice(...span));
  const size = (row) => documents[row.document][row.kind === "missed" || row.kind === "split" ? "gold" : "predicted"][
    row.chain].length;
  const sorts = [
    { key: "file", label: "file order" },
    { key: "place", label: "position in the text", value: (row) => row.document * 1e9 + nearest(marks(row))[0].span[0] },
    { key: "size", label: "longest chain first", value: size, down: true },
  ];
  let lowered;
  const finder = (wanted) => {
    lowered ||= new Map(rows.map((row) =>
      [row, [documents[row.document].name, ...words(row)].join("\n").toLowerCase()]));
    return (row) => wanted.every((word) => lowered.get(row).includes(word));
  };
  const heading = (row, all) => {
    const text = documents[row.document].text;
    if (row.mention !== undefined) return text.slice(...all[row.mention].span);
    const firsts = row.others.map((_, i) => all.find(({ number }) => number === i + 1));
    return firsts.map(({ span }) => `“${text.slice(...span)}”`).join(row.kind === "merged" ? " with " : " from ");
  };
  const card = (row) => {
    const { name, text } = documents[row.document];
    const all = marks(row);
    const kind = kinds.slice(1, 5).find((each) => each.test(row));
    const side = make("div", { className: "side" },
      make("dl", { className: "chains" }, ...pairs(sideOf(row, text, all))));
    return make("article", { className: `card ${row.kind}` },
      make("div", { className: "top" },
        make("span", { className: "badge" }, `${kind.sign} ${kind.label}${lone(row) ? ": mentioned once" : ""}`),
        make("span", { className: "muted" }, make("code", {}, name))),
      make("h2", { dir: "auto" }, heading(row, all)),
      make("div", { className: "columns" }, contextOf(text, nearest(all).map(({ span }) => span),
        (from, to) => markedText(text, all, from, to)), side));
  };
  byId("legend").append(...[["gold mention", "gold"], ["predicted mention", "predicted"]].map(([text, name]) =>
    make("span", {}, drawn(text, { names: [name], number: 0 }, ["first", "last"]))));
  const names = documents.map(({ name }) => name);
  return { rows, card, sorts, finder, filters: kinds, facts, noun: ["error", "errors"], partsLabel: "Missed:",
    findHint: "words of a mention or of its chain, or a document",
    groups: { label: "Document", names, of: (row) => names[row.document] } };
}

browse(coreference(JSON.parse(byId("data").textContent)));
