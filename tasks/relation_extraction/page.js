// Relation extraction: one card per sentence. Spans are half-open and in UTF-16 units, like slices of strings.

const SIDES = ["subject", "object"];

/** A marked entity, with its type at its end. */
function entity(row, side, text, ends) {
  const made = make("mark", { className: side, title: side }, text);
  if (ends) made.append(make("sub", {}, row.types[SIDES.indexOf(side)]));
  return made;
}

/** Nodes of text[from:to] with both entities. */
function markedText(row, from, to) {
  const cuts = new Set([from, to, ...SIDES.flatMap((side) => row[side]).filter((at) => at > from && at < to)]);
  const ends = [...cuts].sort((a, b) => a - b);
  return ends.slice(1).map((end, i) => {
    const side = SIDES.find((each) => row[each][0] <= ends[i] && end <= row[each][1]);
    const part = row.text.slice(ends[i], end);
    return side ? entity(row, side, part, end === row[side][1]) : part;
  });
}

function relations({ facts, no_relation: none, rows }) {
  const same = (row) => row.gold === row.predicted;
  const kinds = [
    { key: "all", label: "All", test: () => true },
    { key: "same", label: "Right", sign: "✓", test: same },
    { key: "missed", label: "Missed", sign: "−", test: (row) => !same(row) && row.predicted === none },
    { key: "invented", label: "Invented", sign: "+", test: (row) => !same(row) && row.gold === none },
    { key: "other", label: "Wrong relation", sign: "✗",
      test: (row) => !same(row) && row.gold !== none && row.predicted !== none },
  ];
  const share = (row) => row.candidates[0][1];
  const sorts = [
    { key: "file", label: "file order" },
    { key: "sure", label: "most confident first", value: share, down: true },
    { key: "unsure", label: "least confident first", value: share },
  ];
  let lowered;
  const finder = (words) => {
    lowered ||= new Map(rows.map((row) =>
      [row, [row.id, row.text, row.gold, row.predicted, ...row.types].join("\n").toLowerCase()]));
    return (row) => words.every((word) => lowered.get(row).includes(word));
  };
  const card = (row) => {
    const kind = kinds.slice(1).find((each) => each.test(row));
    const side = make("div", { className: "side" },
      make("dl", { className: "relations" }, ...pairs([["Gold", row.gold], ["Predicted", row.predicted]])),
      shares(row.candidates));
    return make("article", { className: `card ${kind.key}` },
      make("div", { className: "top" }, make("span", { className: "badge" }, `${kind.sign} ${kind.label}`),
        make("span", { className: "muted" }, make("code", {}, row.id))),
      make("h2", { dir: "auto" }, SIDES.map((each) => row.text.slice(...row[each])).join(" → ")),
      make("div", { className: "columns" },
        contextOf(row.text, SIDES.map((each) => row[each]), (from, to) => markedText(row, from, to)), side));
  };
  byId("legend").append(...SIDES.map((side) => make("span", {}, make("mark", { className: side }, side))));
  const names = [...new Set(rows.map((row) => row.gold))];
  return { rows, card, sorts, finder, filters: kinds, facts, noun: ["sentence", "sentences"], partsLabel: "",
    findHint: "words of a sentence, a relation, a type or an id",
    groups: { label: "Gold relation", names, of: (row) => row.gold } };
}

browse(relations(JSON.parse(byId("data").textContent)));
