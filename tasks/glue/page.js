// Text classification: one card per text or pair of texts, with its labels or numbers.

const TOLERANCE = 0.5;  // predicted numbers within it count as right

function classifications({ facts, numbers, rows }) {
  const list = (value) => Array.isArray(value) ? value : [value];
  const errors = (row) => list(row.predicted).map((each, place) => each === null ? null : Math.abs(each - list(row.gold)[place]));
  const error = (row) => errors(row).includes(null) ? null : Math.max(...errors(row));  // the largest of several numbers
  const right = (row) => numbers ? error(row) !== null && error(row) <= TOLERANCE : row.gold === row.predicted;
  const text = (value) => value === null ? "–" : numbers ? value.toFixed(2) : value;
  const shown = (value) => list(value).map(text).join(", ");
  const kinds = [
    { key: "all", label: "All", test: () => true },
    { key: "right", label: numbers ? `Within ${TOLERANCE}` : "Right", sign: "✓", test: right },
    { key: "wrong", label: numbers ? "Larger error" : "Wrong", sign: "✗", test: (row) => !right(row) },
  ];
  const share = (row) => row.candidates[0][1];
  const sorts = [
    { key: "file", label: "file order" },
    ...(numbers
      ? [{ key: "far", label: "largest error first", value: error, down: true },
         { key: "high", label: "highest number first", value: (row) => list(row.predicted)[0], down: true }]
      : [{ key: "sure", label: "most confident first", value: share, down: true },
         { key: "unsure", label: "least confident first", value: share }]),
  ];
  let lowered;
  const finder = (words) => {
    lowered ||= new Map(rows.map((row) => [row, [row.id, ...row.texts].join("\n").toLowerCase()]));
    return (row) => words.every((word) => lowered.get(row).includes(word));
  };
  const card = (row) => {
    const kind = kinds.slice(1).find((each) => each.test(row));
    const side = make("div", { className: "side" },
      make("dl", { className: "labels" }, ...pairs([["Gold", shown(row.gold)], ["Predicted", shown(row.predicted)]])));
    if (row.candidates.length) side.append(shares(row.candidates));
    const texts = row.texts.map((words) => contextOf(words, [], (from, to) => [words.slice(from, to)]));
    return make("article", { className: `card ${kind.key}` },
      make("div", { className: "top" }, make("span", { className: "badge" }, `${kind.sign} ${kind.label}`),
        make("span", { className: "muted" }, make("code", {}, row.id))),
      make("div", { className: "columns" }, make("div", { className: "texts" }, ...texts), side));
  };
  const names = numbers ? [] : [...new Set(rows.map((row) => row.gold))];
  return { rows, card, sorts, finder, filters: kinds, facts, noun: ["text", "texts"], partsLabel: "",
    findHint: "words of a text, or an id",
    groups: { label: "Gold label", names, of: (row) => row.gold } };
}

browse(classifications(JSON.parse(byId("data").textContent)));
