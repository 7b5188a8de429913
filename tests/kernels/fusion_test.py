"""Where functions are compiled, and where they run as they are."""

import keras
import pytest

from spanbert_keras.kernels import fusion
from spanbert_keras.kernels.fusion import fused, fusion_applies

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow's functions are fused")


@fused
def shifted(x, *, by):
    assert isinstance(by, float)
    return x + by


def compiled_calls(function, *arguments) -> int:
    """Returns how many compiled functions the graph of a function calls."""
    graph = function.get_concrete_function(*arguments).graph
    graphs = [graph, *(f.graph for f in graph._functions.values() if hasattr(f, "graph"))]
    return sum("_XlaMustCompile" in str(op.node_def.attr) for g in graphs for op in g.get_operations())


@pytest.mark.parametrize(("size", "calls"), [(2**16 - 1, 0), (2**16, 1)])
def test_large_tensors_of_a_traced_function_are_compiled(size, calls):
    x = tf.zeros(size)
    traced = tf.function(lambda x: shifted(x, by=2.0), autograph=False)
    assert compiled_calls(traced, x) == calls
    assert traced(x)[-1] == 2.0


def test_sizes_that_are_known_later_decide_then():
    traced = tf.function(
        lambda x: shifted(x, by=3.0), autograph=False, input_signature=[tf.TensorSpec((None,), tf.float32)]
    )
    for size in (3, 2**16):
        assert (traced(tf.zeros(size)).numpy() == 3.0).all()


def test_eagerly_and_within_a_compiled_step_it_does_not_apply(monkeypatch):
    monkeypatch.setattr(fusion, "SMALLEST", 1)
    found = {}

    def probe(name):
        found[name] = fusion_applies()
        return tf.zeros(())

    tf.function(lambda: probe("traced"), autograph=False)()
    tf.function(lambda: probe("compiled"), autograph=False, jit_compile=True)()
    probe("eager")
    assert found == {"traced": True, "compiled": False, "eager": False}


def test_it_does_not_apply_beside_a_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    found = []
    tf.function(lambda: found.append(fusion_applies()), autograph=False)()
    assert found == [False]
