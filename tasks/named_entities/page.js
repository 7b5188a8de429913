// Named entities: one card per sentence. Spans are half-open and in UTF-16 units, like slices of strings.

/** Nodes of text[from:to] with its entities, [start, end, label, whether both sides have it]; outer ones come first. */
function nested(text, entities, from, to) {
  const nodes = [];
  let at = from;
  for (let i = 0; i < entities.length; ) {
    const [start, end, label, shared] = entities[i];
    let next = i + 1;
    while (next < entities.length && entities[next][0] < end) next += 1;
    if (start > at) nodes.push(text.slice(at, start));
    const inner = entities.slice(i + 1, next).filter((each) => each[1] <= end);
    nodes.push(make("mark", { className: `entity${shared ? "" : " alone"}`, title: label },
      ...nested(text, inner, start, end), make("sub", {}, label)));
    at = end;
    i = next;
  }
  if (at < to) nodes.push(text.slice(at, to));
  return nodes;
}

function namedEntities({ facts, rows }) {
  const alone = (entities) => entities.filter((each) => !each[3]).length;
  const missed = (row) => alone(row.gold) > 0;
  const invented = (row) => alone(row.predicted) > 0;
  const kinds = [
    { key: "all", label: "All", test: () => true },
    { key: "same", label: "Right", sign: "✓", test: (row) => !missed(row) && !invented(row) },
    { key: "missed", label: "Missed", sign: "−", test: (row) => missed(row) && !invented(row) },
    { key: "invented", label: "Invented", sign: "+", test: (row) => invented(row) && !missed(row) },
    { key: "other", label: "Both", sign: "✗", test: (row) => missed(row) && invented(row) },
  ];
  const wrong = (row) => alone(row.gold) + alone(row.predicted);
  const sorts = [
    { key: "file", label: "file order" },
    { key: "most", label: "most errors first", value: wrong, down: true },
  ];
  let lowered;
  const finder = (words) => {
    lowered ||= new Map(rows.map((row) => [row,
      [row.id, row.text, ...[...row.gold, ...row.predicted].map((each) => each[2])].join("\n").toLowerCase()]));
    return (row) => words.every((word) => lowered.get(row).includes(word));
  };
  const part = (name, title, row) => [make("h3", {}, title), make("p", { className: `${name}-text`, dir: "auto" },
    ...nested(row.text, row[name], 0, row.text.length))];
  const card = (row) => {
    const kind = kinds.slice(1).find((each) => each.test(row));
    return make("article", { className: `card ${kind.key}` },
      make("div", { className: "top" }, make("span", { className: "badge" }, `${kind.sign} ${kind.label}`),
        make("span", { className: "muted" }, make("code", {}, row.id))),
      make("div", { className: "entities" }, ...part("gold", "Gold", row), ...part("predicted", "Predicted", row)));
  };
  byId("legend").append(make("span", {}, make("mark", { className: "entity alone" }, "on one side only")));
  return { rows, card, sorts, finder, filters: kinds, facts, noun: ["sentence", "sentences"], partsLabel: "",
    findHint: "words of a sentence, a label or an id",
    groups: { label: "Text", names: [...new Set(rows.map((row) => row.group))], of: (row) => row.group } };
}

browse(namedEntities(JSON.parse(byId("data").textContent)));
