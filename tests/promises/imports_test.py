"""Who may import whom: the arrows between the rooms, and frameworks that are never loaded by an import."""

import pathlib
import re

import pytest

# Rooms, and what each may import beside itself, `errors` and `arguments`. "" is the package itself.
ARROWS: dict[str, set[str]] = {
    # Leaves: a sentence, a number, a file, a setting.
    "errors": set(),
    "arguments": set(),
    "presets": set(),
    "settings": set(),
    "progress": set(),
    "standard_streams": set(),
    "program_start": {"standard_streams"},
    "files": set(),
    # What a model is made of.
    "kernels": set(),
    "layers": {"kernels"},
    "losses": {"kernels"},
    "decoding": set(),
    "preprocessing": {"files"},
    "models": {"kernels", "layers", "losses", "preprocessing", "decoding", "presets", "files"},
    "conversion": {"models", "files", "presets"},
    # What trains it.
    "data": {"preprocessing", "models", "files", "settings"},
    "training": {"kernels", "data", "preprocessing", "files", "settings"},
    "fine_tuning": {"training", "losses", "data", "preprocessing", "files", "settings"},
    "pretraining": {
        "training",
        "data",
        "preprocessing",
        "models",
        "losses",
        "kernels",
        "conversion",
        "files",
        "settings",
    },
    # For other libraries' pipelines.
    "integrations": {"", "files", "preprocessing", "models"},
    # What `demo` shows.
    "demo_page": {"", "decoding"},
    "program": {"", "files", "program_start", "settings", "standard_streams"},
    "model_flag": {"", "preprocessing", "settings"},
}
# Inside the rooms that have inner ones: what each inner room, or file beside them, may import of its own room.
INNER_ARROWS: dict[str, dict[str, set[str]]] = {
    "layers": {"coreference": {"dropout", "functional", "saving"}, "saving": set()},
    "preprocessing": {
        "masking": {"philox", "tokenizer_inputs"},
        "examples": {"document", "entity_rows", "text_words", "tokenizer_inputs"},
        "preprocessors": {
            "document",
            "document_segments",
            "entity_rows",
            "examples",
            "length_buckets",
            "masked_batch",
            "masking",
            "packing",
            "philox",
            "word_windows",
            "piece_row",
            "question_windows",
            "row_blocks",
            "row_stream",
            "seeds",
            "text_pairs",
            "text_words",
            "tokenizer",
            "tokenizer_inputs",
        },
    },
    "data": {
        "shards": set(),
        "corpus": {"shards"},
        "annotations": {"shards", "corpus"},
        "documents": set(),
        "pairs": {"shards"},
        "batches": {"shards", "pairs", "annotations"},
    },
    "training": {
        "distributed": set(),
        "steps": {"distributed"},
        "monitoring": {"steps", "distributed"},
        "run": {"distributed", "backend"},
        "backend": {"steps", "distributed"},
    },
    "conversion": {
        "exports": {"foreign_keys"},
        "formats": {"choices", "checkpoint", "tasks", "hugging_face_names", "foreign_keys", "claims"},
        "checkpoint": {"tasks", "hugging_face_names", "foreign_keys"},
        "tasks": {"head_settings", "hugging_face_names"},
        "head_settings": {"foreign_keys"},
    },
}
PUBLIC_TO_TASKS = {"", "training", "fine_tuning", "program", "model_flag", "settings", "files", "progress"}
SHARED_BY_TASKS = "shared"
GATHERS_TASKS = ("tasks/report.py", "tasks/ablation/")  # read the `report` of every task
STARTS_PROGRAMS = "tasks/ablation/"
PUBLIC_TO_STARTERS = {"pretrain", "data"}  # the settings of a program that it starts, and the text that it gives to it
FRAMEWORKS = ("tensorflow", "tensorflow_text", "jax", "torch")
ONLY_THIRD_PARTY = {"layers": {"keras"}, "losses": {"keras"}, "decoding": {"numpy"}}
MAY_USE_TENSORFLOW = {"kernels", "preprocessing", "data", "training", "conversion"}
TRACES_MODELS = "spanbert_keras/models/compiled_call.py"  # on TensorFlow once for all shapes
MAY_LOG = {"training", "pretraining", "fine_tuning", "progress", "program", "model_flag", "demo_page"}


def room_of(path):
    """Returns the room of a library file (`layers`), or its own name for a file beside the rooms (`errors`)."""
    return pathlib.PurePosixPath(path).with_suffix("").parts[1]


def inner_room(module):
    """Returns (room, inner room) of a module: ("data", "corpus") for spanbert_keras.data.corpus.encoding."""
    parts = module.split(".")
    return (parts[1], parts[2]) if parts[0] == "spanbert_keras" and len(parts) > 2 else (None, None)


def is_program(room):
    return room not in ARROWS and room != "__init__"


def library_room(module):
    """Returns the room of an imported library module, "" for the package itself, `None` for what is not ours."""
    top, _, rest = module.partition(".")
    return rest.split(".")[0] if top == "spanbert_keras" else None


def wrong_arrow(found):
    """Returns whether an import of a library file leaves the arrows."""
    room, target = room_of(found.path), library_room(found.module)
    if found.module.split(".")[0] in ("tasks", "benchmarks", "tests"):
        return True
    if target is None or target in ("errors", "arguments", room) or is_program(room):
        return False
    if room == "__init__":
        return target == "program" or is_program(target)
    return target not in ARROWS[room]


def wrong_inner_arrow(found):
    """Returns whether an import inside a room leaves the arrows between its inner rooms."""
    room, source = inner_room(found.path.removesuffix(".py").replace("/", "."))
    target_room, target = inner_room(found.module)
    allowed = INNER_ARROWS.get(room, {}).get(source)
    return room == target_room and allowed is not None and target not in (source, *allowed)


def wrong_task_arrow(found):
    """Returns whether an import of a task file reads another task or a name of the library that is not public.

    What lies in `tasks/shared/` is every task's, and reads none of them.
    """
    if found.path.startswith(GATHERS_TASKS) and re.fullmatch(r"tasks\.\w+\.report", found.module):
        return False
    top, target = found.module.split(".")[0], library_room(found.module)
    if top == "tasks":
        return found.module.split(".")[1] not in (room_of(found.path), SHARED_BY_TASKS)
    public = PUBLIC_TO_TASKS | (PUBLIC_TO_STARTERS if found.path.startswith(STARTS_PROGRAMS) else set())
    return top in ("benchmarks", "tests") or (target is not None and target not in public)


def library(imports):
    return [found for path, all_of in imports.items() if path.startswith("spanbert_keras/") for found in all_of]


def top(found):
    return found.module.split(".")[0]


def test_library_imports_follow_the_arrows(imports):
    assert [str(found) for found in library(imports) if wrong_arrow(found)] == []


def test_inner_rooms_follow_their_arrows(imports):
    assert [str(found) for found in library(imports) if wrong_inner_arrow(found)] == []


def test_every_inner_room_has_its_arrows(root):
    folders = {f.parent.relative_to(root / "spanbert_keras").parts for f in root.glob("spanbert_keras/*/*/__init__.py")}
    assert folders <= {(room, inner) for room, all_of in INNER_ARROWS.items() for inner in all_of}
    assert {room for room, _ in folders} == set(INNER_ARROWS)


def test_tasks_read_public_names_and_no_other_task(imports):
    tasks = [found for path, all_of in imports.items() if path.startswith("tasks/") for found in all_of]
    assert [str(found) for found in tasks if wrong_task_arrow(found)] == []


def test_no_framework_is_imported_with_the_library(imports):
    assert [str(found) for found in library(imports) if found.at_import and top(found) in FRAMEWORKS] == []


def test_tensorflow_stays_in_the_rooms_that_feed_and_train(imports):
    users = [found for found in library(imports) if top(found) in ("tensorflow", "tensorflow_text")]
    strangers = [
        found
        for found in users
        if not is_program(room_of(found.path))
        and room_of(found.path) not in MAY_USE_TENSORFLOW
        and found.path != TRACES_MODELS
    ]
    assert [str(found) for found in strangers] == []


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_jax_and_torch_have_one_file_a_folder_of_training(imports, framework):
    users = [found for found in library(imports) if top(found) == framework]
    outside = [found for found in users if room_of(found.path) not in ("kernels", "training", "conversion")]
    assert [str(found) for found in outside] == []
    files = {pathlib.PurePosixPath(found.path) for found in users if room_of(found.path) == "training"}
    folders = [file.parent.as_posix() for file in files]
    assert len(folders) == len(set(folders))
    assert set(folders) <= {"spanbert_keras/training/steps", "spanbert_keras/training/distributed"}


def test_flags_are_defined_in_program_only(imports):
    users = {found.path for found in library(imports) if found.module.startswith(("absl.flags", "absl.app"))}
    assert users == {"spanbert_keras/program.py"}


def test_only_programs_and_training_log(imports):
    """But for locks, for what repairs files, and a file that logs nothing: it keeps back a warning of TensorFlow's."""
    others = (
        "spanbert_keras/models/bucketed_prediction.py",
        "spanbert_keras/files/folder_lock.py",
        "spanbert_keras/files/destination_lock.py",
        "spanbert_keras/files/index_folder.py",
        "spanbert_keras/data/corpus/corpus_repair.py",
        "spanbert_keras/data/corpus/preparation_folder.py",
    )
    everywhere = [found for found in library(imports) if found.module.startswith(("absl.logging", "logging"))]
    users = [found for found in everywhere if found.path not in others]
    quiet = [f for f in users if room_of(f.path) not in MAY_LOG and not is_program(room_of(f.path))]
    assert [str(found) for found in quiet] == []


def test_layers_losses_and_decoding_need_one_package(imports):
    foreign = [
        str(found)
        for found in library(imports)
        if top(found) in (*FRAMEWORKS, "keras", "keras_hub", "numpy", "tokenizers", "scipy")
        and top(found) not in ONLY_THIRD_PARTY.get(room_of(found.path), {top(found)})
    ]
    assert foreign == []


@pytest.mark.parametrize(
    "path, line, is_wrong",
    [
        ("spanbert_keras/layers/a.py", "from spanbert_keras.losses import span_bert_loss", True),
        ("spanbert_keras/layers/a.py", "from .functional import gelu", False),
        ("spanbert_keras/layers/a.py", "from ..models import encoder", True),
        ("spanbert_keras/layers/a.py", "from spanbert_keras import errors", False),
        ("spanbert_keras/layers/a.py", "from spanbert_keras import SpanMasker", True),
        ("spanbert_keras/layers/a.py", "import tasks.glue", True),
        ("spanbert_keras/models/a.py", "def f():\n    import spanbert_keras.data.shards.token_shards", True),
        ("spanbert_keras/models/a.py", "import spanbert_keras.layers.functional", False),
        ("spanbert_keras/models/a.py", "from spanbert_keras import program", True),
        ("spanbert_keras/__init__.py", "from spanbert_keras import pretrain", True),
        ("spanbert_keras/pretrain.py", "from spanbert_keras.training import trainer", False),
    ],
)
def test_the_arrow_check_itself_tells_right_from_wrong(parse_imports, path, line, is_wrong):
    assert [wrong_arrow(found) for found in parse_imports(path, line)] == [is_wrong]


@pytest.mark.parametrize(
    "path, line, is_wrong",
    [
        ("spanbert_keras/data/shards/a.py", "from spanbert_keras.data.corpus import encoding", True),
        ("spanbert_keras/data/corpus/a.py", "from spanbert_keras.data.shards.token_shards import TokenShards", False),
        ("spanbert_keras/data/corpus/a.py", "from spanbert_keras.data.corpus import encoding", False),
        ("spanbert_keras/training/steps/a.py", "from spanbert_keras.training.trainer import Trainer", True),
        ("spanbert_keras/training/steps/a.py", "from spanbert_keras.preprocessing.seeds import run_seed", False),
        ("spanbert_keras/training/trainer.py", "from spanbert_keras.training.steps import loss_scale", False),
    ],
)
def test_the_inner_arrow_check_itself_tells_right_from_wrong(parse_imports, path, line, is_wrong):
    assert [wrong_inner_arrow(found) for found in parse_imports(path, line)] == [is_wrong]


@pytest.mark.parametrize(
    "line, is_wrong",
    [
        ("from tasks.glue import data", True),
        ("from tasks.question_answering import data", False),
        ("from tasks.shared.error_page import finite", False),
        ("from tasks import glue", True),
        ("from spanbert_keras import SpanBertEncoder", False),
        ("from spanbert_keras.training import trainer", False),
        ("from spanbert_keras.layers import functional", True),
    ],
)
def test_the_task_check_itself_tells_right_from_wrong(parse_imports, line, is_wrong):
    found = parse_imports("tasks/question_answering/finetune.py", line)
    assert [wrong_task_arrow(one) for one in found] == [is_wrong]


def test_what_all_tasks_share_reads_no_task(parse_imports):
    found = parse_imports("tasks/shared/error_page.py", "from tasks.question_answering import page")
    assert [wrong_task_arrow(one) for one in found] == [True]


@pytest.mark.parametrize(
    "line, is_wrong",
    [
        ("import tasks.glue.report", False),
        ("from tasks.shared import run_tables", False),
        ("import tasks.glue.data", True),
        ("from spanbert_keras.layers import functional", True),
    ],
)
def test_the_program_that_gathers_tasks_reads_only_their_reports(parse_imports, line, is_wrong):
    assert [wrong_task_arrow(one) for one in parse_imports("tasks/report.py", line)] == [is_wrong]


def test_imports_inside_functions_and_type_checks_do_not_run_at_import(parse_imports):
    text = (
        "import jax\nif TYPE_CHECKING:\n    import torch\ndef f():\n    import tensorflow\nclass A:\n    import numpy"
    )
    found = {one.module: one.at_import for one in parse_imports("spanbert_keras/training/a.py", text)}
    assert found == {"jax": True, "torch": False, "tensorflow": False, "numpy": True}
