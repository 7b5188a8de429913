"""Named entities: CoNLL-2003, files with stacked columns of nested entities, and JSON lines."""
