"""Golden outputs of the released coreference code, and what a model computes in the same form."""

import json
import types

import numpy as np


def read_golden(folder):
    """Returns the golden files of a folder; see `coreference_golden` in `conftest.py`."""
    return types.SimpleNamespace(
        arrays={name: dict(np.load(folder / f"coref_model_{name}.npz")) for name in "ab"},
        facts=json.loads((folder / "coref_model.json").read_text("utf-8")),
        mistakes=json.loads((folder / "coref_model_sensitivity.json").read_text("utf-8")),
        make_batch=_batch,
        computed=_computed,
        expected=_expected,
    )


def _batch(arrays, width=5):
    """Returns inputs and gold clusters of a document, padded to whole segments; int32."""
    ids, mask = arrays["in/input_ids"], arrays["in/input_mask"]
    places = np.flatnonzero(mask.reshape(-1))
    count = ids.size
    groups = arrays["in/sentence_map"]
    clusters = np.zeros((count, width))
    for s, e, number in zip(*(arrays[f"in/gold_{x}"] for x in ("starts", "ends", "cluster_ids")), strict=True):
        if e - s < width:
            clusters[s, e - s] = number
    fill = lambda values, value: np.pad(values, (0, count - len(values)), constant_values=value)  # noqa: E731
    batch = {
        "token_ids": ids.reshape(-1),
        "padding_mask": mask.reshape(-1),
        "piece_places": fill(places, 0),
        "start_groups": fill(groups, -1),
        "end_groups": fill(groups, -2),
        "speakers": fill(arrays["in/speaker_ids"].reshape(-1)[places], 0),
        "segment_numbers": fill(np.repeat(np.arange(len(ids)), arrays["in/text_len"]), 0),
        "genres": arrays["in/genre"].reshape(1),
        "span_limits": np.array([int(0.4 * len(places))]),
        "span_clusters": clusters,
    }
    return {key: np.asarray(value)[None].astype("int32") for key, value in batch.items()}


def _computed(model, batch):
    """Returns spans, mention scores, antecedents, scores and loss, as `_expected` does."""
    from keras import ops

    tensors = {key: ops.convert_to_tensor(value) for key, value in batch.items()}
    outputs = model(tensors)
    loss = float(ops.convert_to_numpy(model.example_losses(outputs, tensors))[0])
    found = {key: ops.convert_to_numpy(value)[0] for key, value in outputs.items()}
    kept = found["kept"] > 0
    scores = found["antecedent_scores"][kept]
    scores = np.where(scores > -1e8, scores, -np.inf)
    antecedents = np.where(np.isfinite(scores[:, 1:]), found["antecedents"][kept], -1)
    spans = list(zip(found["starts"][kept].tolist(), found["ends"][kept].tolist(), strict=True))
    return types.SimpleNamespace(
        spans=spans, mentions=found["mention_scores"][kept], antecedents=antecedents, scores=scores, loss=loss
    )


def _expected(arrays):
    """Returns the golden numbers; antecedents best coarse score first, -1 and -inf in empty places."""
    spans = zip(arrays["out/top_span_starts"].tolist(), arrays["out/top_span_ends"].tolist(), strict=True)
    return types.SimpleNamespace(
        spans=list(spans),
        mentions=arrays["out/top_span_mention_scores"],
        antecedents=arrays["out/top_antecedents"],
        scores=arrays["out/antecedent_scores"],
        loss=float(arrays["out/loss"]),
    )
