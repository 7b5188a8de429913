"""Fixtures and options of all tests: `--slow`, quiet backends, the folder of real data and a small vocabulary."""

import contextlib
import gc
import os
import pathlib
import pydoc_data.topics
import subprocess
import sys

# Before the first import of a backend: no log noise, no framework that grabs all of a GPU, float32 means float32; one
# thread for torch, whose threads spin while they wait, which costs more than small tensors gain.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # it would send usage statistics and write to the home folder

import pytest
from absl import logging

ROOT = pathlib.Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
MAX_PROCESSES = 4  # each imports TensorFlow, JAX and torch, which takes memory
FIRST_SESSION = ("promises", "training", "integrations", "demo_test.py")  # those that start processes: half of the time
ONLY_SHOWS = ("help", "version", "collectonly", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="Runs the tests marked slow too.")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Shares the files of the whole quick suite among processes, in two sessions; `-n 0` keeps everything in one.

    A part of the suite needs no sharing, and the long tests have the machine to themselves. TensorFlow does not return
    the memory of what it traced: in one session two processes need nearly 24 GB, so the second session has new ones.
    """
    options = config.option
    is_part = config.args_source == config.ArgsSource.ARGS or options.keyword or options.lf
    is_watched = options.usepdb or options.capture == "no"
    one_process = is_part or is_watched or options.slow or hasattr(config, "workerinput")
    only_shows = any(getattr(options, name, None) for name in ONLY_SHOWS)
    if one_process or only_shows or getattr(options, "numprocesses", 0) is not None:
        return None
    shared = ["-n", str(min(os.cpu_count() or 1, MAX_PROCESSES)), "--dist=loadfile"]
    given = [sys.executable, "-m", "pytest", *config.invocation_params.args, *shared]
    codes = []
    for paths in sessions():
        codes.append(subprocess.call([*given, *paths], cwd=config.invocation_params.dir))
        if codes[-1] > pytest.ExitCode.TESTS_FAILED or codes[-1] and options.maxfail:
            break
    return max(codes)


def sessions():
    """Returns the paths of the files and folders of tests that run in the first session, and in the second one."""
    names = sorted(
        path.name for path in TESTS.iterdir() if path.name.endswith("_test.py") or next(path.rglob("*_test.py"), None)
    )
    first = [name for name in names if name in FIRST_SESSION]
    return [[str(TESTS / name) for name in part] for part in (first, [name for name in names if name not in first])]


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))


def pytest_make_parametrize_id(val, argname):
    """Names bytes by their argument: compressed ones hold the time, and processes that share tests must agree."""
    return argname if isinstance(val, bytes) else None


def pytest_report_header(config):
    return f"keras backend: {os.environ['KERAS_BACKEND']}"


@pytest.fixture(scope="module", autouse=True)
def _collect_garbage_of_this_file_alone():
    """Keeps garbage collection away from what earlier files left: Keras collects for every run and quantized layer."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _log_as_programs_do():
    """Lets absl log what programs show, even if an earlier test of this process changed the verbosity."""
    logging.set_verbosity(logging.INFO)


@pytest.fixture
def eagerly():
    """Lets TensorFlow run functions step by step: for a few small steps, tracing takes longer than computing.

    For tests of what happens around training; what graphs compute is tested without it. No effect on other backends.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(before)


@pytest.fixture(scope="module")
def plain_graphs(request):
    """Lets TensorFlow run graphs as they were traced: optimizing many small ones takes longer than running them.

    For tests whose subject is not the graph optimizer. With `--slow`, graphs are optimized, as for users. No effect on
    other backends.
    """
    import keras

    if keras.backend.backend() != "tensorflow" or request.config.getoption("--slow"):
        yield
        return
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


@pytest.fixture(scope="session")
def root():
    """Path of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder():
    """Path of the folder with real text and vocabularies, named by SPANBERT_KERAS_DATA."""
    folder = os.environ.get("SPANBERT_KERAS_DATA")
    if not folder:
        pytest.skip("real data: the environment variable SPANBERT_KERAS_DATA names no folder")
    if not pathlib.Path(folder).is_dir():
        pytest.fail(f"SPANBERT_KERAS_DATA must name a folder. Received: {folder!r}, which is not a folder.")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def small_vocabulary():
    """List of 800 cased word pieces trained on the language reference that Python carries."""
    from tokenizers import BertWordPieceTokenizer

    trained = BertWordPieceTokenizer(lowercase=False)
    texts = [text for _, text in sorted(pydoc_data.topics.topics.items())[:20]]
    trained.train_from_iterator(texts, vocab_size=800, min_frequency=2, show_progress=False)
    vocabulary = trained.get_vocab()
    return sorted(vocabulary, key=vocabulary.get)


@pytest.fixture(scope="session")
def randomize():
    """Function that fills every weight of a built layer with noise, biases and norms too, and returns the values.

    It returns a dict from the weight's path below the layer (`norm/gamma`) to float64 values.
    """
    import numpy as np

    def fill(layer, seed=0, scale=0.3):
        rng = np.random.default_rng(seed)
        filled = {}
        for weight in layer.weights:
            values = rng.normal(0.0, scale, weight.shape) + (weight.path.split("/")[-1] == "gamma")
            weight.assign(values.astype("float32"))
            name = weight.path.removeprefix(f"{layer.path}/")
            filled[name] = values.astype("float32").astype("float64")
        return filled

    return fill


@pytest.fixture(scope="session")
def to_numpy():
    """Function that turns a tensor of the backend in use, or a dict of them, into float64 NumPy."""
    import keras
    import numpy as np

    def convert(value):
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(value, "float32")), np.float64)

    return convert


@pytest.fixture(scope="session")
def toy_pieces():
    """List of 64 pieces: BERT's five specials, words w0..w44 and endings ##e0..##e13."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return [*specials, *(f"w{i}" for i in range(45)), *(f"##e{i}" for i in range(14))]


@pytest.fixture(scope="session")
def toy_tokenizer(toy_pieces):
    """`SpanBertTokenizer` of `toy_pieces`."""
    from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

    return SpanBertTokenizer(toy_pieces)


@pytest.fixture(scope="session")
def toy_corpus():
    """Function of (lengths of documents, seed, number of shards): shards of random documents over `toy_pieces`.

    Returns a list of (pieces uint16, document_starts, line_starts); every document and line begins a word.
    """
    import numpy as np

    def make(lengths, seed=0, shards=2):
        random = np.random.default_rng(seed)
        result = []
        for part in np.array_split(np.asarray(lengths, np.int64), shards):
            starts = np.concatenate([[0], np.cumsum(part)]).astype(np.int64)
            pieces = random.integers(5, 64, int(starts[-1])).astype(np.uint16)
            is_line = random.random(len(pieces)) < 0.08
            is_line[starts[:-1]] = True
            pieces[is_line] = random.integers(5, 50, int(is_line.sum()))
            result.append((pieces, starts, np.append(np.flatnonzero(is_line), starts[-1])))
        return result

    return make


@pytest.fixture(scope="session")
def as_bert():
    """Function that returns a `transformers.BertModel` with an encoder's sizes and weights, in evaluation mode."""
    transformers = pytest.importorskip("transformers", reason="the independent BERT is that of transformers")
    torch = pytest.importorskip("torch", reason="the independent BERT computes with torch")
    import keras

    def values(weight):
        return torch.tensor(keras.ops.convert_to_numpy(weight))

    def convert(encoder):
        config = transformers.BertConfig(
            vocab_size=encoder.vocabulary_size,
            num_hidden_layers=encoder.num_layers,
            num_attention_heads=encoder.num_heads,
            hidden_size=encoder.hidden_dim,
            intermediate_size=encoder.intermediate_dim,
            max_position_embeddings=encoder.max_sequence_length,
            type_vocab_size=encoder.num_segments,
        )
        dense, norms = {}, {"embeddings.LayerNorm": encoder.input_embedding.norm}
        for i, block in enumerate(encoder.blocks):
            name, attention = f"encoder.layer.{i}", block.attention
            dense |= {
                f"{name}.attention.self.query": attention.query_dense,
                f"{name}.attention.self.key": attention.key_dense,
                f"{name}.attention.self.value": attention.value_dense,
                f"{name}.attention.output.dense": attention.output_dense,
                f"{name}.intermediate.dense": block.intermediate,
                f"{name}.output.dense": block.output_dense,
            }
            norms[f"{name}.attention.output.LayerNorm"] = block.attention_norm
            norms[f"{name}.output.LayerNorm"] = block.output_norm
        state = {
            "embeddings.word_embeddings.weight": values(encoder.token_embedding.embeddings),
            "embeddings.position_embeddings.weight": values(encoder.input_embedding.position_embeddings),
            "embeddings.token_type_embeddings.weight": values(encoder.input_embedding.segment_embeddings),
        }
        for name, layer in dense.items():
            state |= {f"{name}.weight": values(layer.kernel).T, f"{name}.bias": values(layer.bias)}
        for name, layer in norms.items():
            state |= {f"{name}.weight": values(layer.gamma), f"{name}.bias": values(layer.beta)}
        bert = transformers.BertModel(config, add_pooling_layer=False).eval()
        missing, unexpected = bert.load_state_dict(state, strict=False)
        assert unexpected == [] and all("position_ids" in key or "token_type_ids" in key for key in missing), missing
        return bert

    return convert


@pytest.fixture(scope="session")
def toy_text(tmp_path_factory):
    """Path of a text file of 200 short documents of words by Zipf's law, two to four lines each."""
    import numpy as np

    random = np.random.default_rng(0)
    syllables = ("ba", "do", "ki", "lu", "me", "no", "ri", "sa", "te", "vo")
    words = ["".join(random.choice(syllables, random.integers(1, 4))) for _ in range(120)]
    shares = 1 / np.arange(1, 121)
    documents = []
    for _ in range(200):
        lines = (random.choice(words, 14, p=shares / shares.sum()) for _ in range(random.integers(2, 5)))
        documents.append("\n".join(" ".join(line) + "." for line in lines))
    path = tmp_path_factory.mktemp("text") / "toy.txt"
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def toy_flags():
    """List of flags of a pre-training run of six steps with a model of one layer x 16, without corpus and folder."""
    return [
        "--architecture=tiny",
        "--num_layers=1",
        "--hidden_dim=16",
        "--num_heads=2",
        "--position_dim=8",
        "--max_sequence_length=32",
        "--batch_sequences=4",
        "--steps=6",
        "--warmup_steps=2",
        "--learning_rate=1e-3",
        "--log_every=2",
        "--evaluate_every=3",
        "--eval_rows=8",
        "--checkpoint_every=4",
        "--examples=3",
        "--workers=1",
    ]


@pytest.fixture(scope="session")
def toy_shards(toy_text, tmp_path_factory):
    """Path of the prepared corpus of `toy_text`, with a vocabulary of 150 pieces trained on it."""
    from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
    from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus

    folder = tmp_path_factory.mktemp("prepared") / "shards"
    prepare_corpus(
        PreparationSettings(
            input=(str(toy_text),), output_dir=str(folder), train_vocabulary=150, heldout_share=0.1, workers=1
        )
    )
    return folder


@pytest.fixture
def write_pretraining_run(tmp_path):
    """Function that writes the folder of a pre-training run with checkpoints of a model: weights plus the step."""
    import json

    import keras
    import numpy as np

    from spanbert_keras.conversion.formats.own_models import describe
    from spanbert_keras.files import checkpoint_files

    def write(model, *steps):
        run = tmp_path / "pretraining_run"
        (run / "checkpoints").mkdir(parents=True)
        facts = {"vocabulary_fingerprint": model.tokenizer.fingerprint()}
        (run / "run.json").write_text(json.dumps({"flags": {}, "facts": facts, "model": describe(model)}))
        (run / "vocab.txt").write_text("".join(f"{piece}\n" for piece in model.tokenizer.get_vocabulary()))
        for step in steps:
            values = {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in model.weights}
            arrays = {f"model/{path}": value + np.float32(step) for path, value in values.items()}
            arrays["optimizer/00000"] = np.array(step)
            checkpoint_files.write(checkpoint_files.folder_of(run / "checkpoints", step), arrays, step, {}, None)
        return run

    return write


@pytest.fixture(scope="session")
def coreference_golden(data_folder):
    """Outputs of the released coreference code for two synthetic documents; see the README beside the files.

    Attributes: `arrays` of documents `a` and `b`; `facts` and `mistakes`, the two JSON files; functions `make_batch`
    and `expected` of a document's arrays, `computed` of (resolver, batch).
    """
    from tests.coreference_golden import read_golden

    return read_golden(data_folder / "coref" / "golden")


@pytest.fixture
def small_disk():
    """Function of bytes: a context in which larger files cannot be written, as on a full disk."""
    resource = pytest.importorskip("resource", reason="only Unix limits file sizes")

    @contextlib.contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit
