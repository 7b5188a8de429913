"""The base of all task models. Shape letters: B rows, T tokens, D hidden_dim."""

import json
import os
import pathlib
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import keras_hub

from spanbert_keras.errors import shown
from spanbert_keras.files.checksum_file import PRESET_FILES, write_checksums
from spanbert_keras.layers.functional import reject_rematerialization
from spanbert_keras.layers.saving.saved_state import KEY, SavedState, plain_policy
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.named_inputs import NamedInputs
from spanbert_keras.models.named_targets import mean_over_rows
from spanbert_keras.models.raw_examples import RawExamples
from spanbert_keras.models.task_type import PipelineModel, TaskType
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor


class TaskModel(SavedState, RawExamples, NamedInputs, keras_hub.models.Task, metaclass=TaskType):
    """Base: an `encoder` with its tokenizer and layers on top of it, trained by the mean of its examples' losses.

    A subclass sets `input_keys` and `target_keys`, calls this constructor, and defines `example_losses` and
    `get_config`.

    Args:
        encoder: `SpanBertEncoder`, with its tokenizer.
        head: function from the encoder's output, float `(B, T, D)`, and the dict of inputs to the dict of the model's
            outputs, for a `functional` model. `None` for one with a `call` of its own, which makes its layers after
            this constructor.
        dtype: dtype policy or its name. `None`: the encoder's.
        preprocessor: makes rows of raw examples for `fit`, `evaluate` and `predict`: a `TaskPreprocessor`, or any
            function of `x`. `"auto"`: `preprocessor_cls` with this model's settings. `None`: the model takes arrays
            only.

    Attributes:
        functional: whether the model is made of a graph, by a `head`.
        target_keys: entries of a training batch beside the model's inputs.
        static_shapes: whether `call` must know the shapes of its inputs.
        needs_tokenizer: whether an encoder without tokenizer is an error.
        preprocessor_cls: class of the preprocessor.

    Raises:
        ValueError: the encoder has no tokenizer, a setting of the preprocessor differs from the model's, or the model
            is made within a `keras.RematScope`.
    """

    functional = False
    static_shapes = False
    needs_tokenizer = True
    backbone_cls = SpanBertEncoder
    preprocessor_cls: Any = None
    preset_loader: ClassVar[Callable | None] = None  # set by `conversion`; see `from_preset`
    _initialized = True  # for keras-hub's `__setattr__`

    def __init__(self, encoder, head: Callable | None = None, dtype=None, preprocessor="auto", **kwargs):
        reject_rematerialization(type(self))
        _share_tokenizer(encoder, preprocessor)
        if encoder.tokenizer is None and self.needs_tokenizer:
            raise ValueError(f"`{type(self).__name__}` needs an encoder with a tokenizer. Received: one without.")
        if (head is not None) != self.functional:
            raise TypeError(
                f"`{type(self).__name__}` has functional={self.functional}. Expected: `functional = True` in the class "
                f"if the model is made by a head, else a `call` of its own. Received: head={shown(head)}."
            )
        if kwargs.keys() - {"name", "trainable"}:
            raise TypeError(
                f"`{type(self).__name__}` got an unknown argument. Expected: those of its class, `dtype`, "
                f"`preprocessor`, `name` and `trainable`. Received: {sorted(kwargs.keys() - {'name', 'trainable'})}."
            )
        graph = {}
        if head is not None:
            inputs = self.symbolic_inputs()
            graph = {"inputs": inputs, "outputs": head(encoder(inputs)["sequence_output"], inputs)}
        super(PipelineModel, self).__init__(**graph, **kwargs)  # keras-hub's constructors switch bases; see `TaskType`
        # Set afterwards, since a functional model takes no `dtype`; `compile` scales the loss if this is mixed_float16.
        self.dtype_policy = plain_policy(dtype or encoder.dtype_policy)
        self.encoder = encoder
        self.preprocessor = preprocessor
        self._one_call = threading.RLock()  # Keras' own `predict` and the counts of a model are not for several threads

    @classmethod
    def only_encoder(cls, encoder, others: dict):
        """Returns the encoder, given by its name or as `backbone` among the other arguments, from which that is taken.

        Raises:
            TypeError: it is missing, given twice, or not a `SpanBertEncoder`.
        """
        backbone = others.pop("backbone", None)
        if (encoder is None) == (backbone is None):
            raise TypeError(
                f"`{cls.__name__}` needs an `encoder`, which may be called `backbone`. "
                f"Expected: one of them. Received: {'neither' if encoder is None else 'both'}."
            )
        encoder = backbone if encoder is None else encoder
        if not isinstance(encoder, SpanBertEncoder):
            raise TypeError(f"`encoder` of `{cls.__name__}` must be a `SpanBertEncoder`. Received: {shown(encoder)}.")
        return encoder

    @property
    def backbone(self):
        """The encoder, by keras-hub's name."""
        return self.encoder

    @property
    def tokenizer(self):
        """The encoder's tokenizer."""
        return self.encoder.tokenizer

    @property
    def preprocessor(self):
        """The preprocessor, with this model's tokenizer and settings; `None` if the model takes arrays only."""
        preprocessor = self.__dict__.get("__preprocessor")
        if isinstance(preprocessor, TaskPreprocessor):
            preprocessor.adopt(self.tokenizer, self.preprocessor_settings())
        return preprocessor

    @preprocessor.setter
    def preprocessor(self, preprocessor):
        if isinstance(preprocessor, str) and preprocessor == "auto":
            preprocessor = None if self.preprocessor_cls is None else self.preprocessor_cls()
        kind = self.preprocessor_cls or TaskPreprocessor
        is_other = isinstance(preprocessor, TaskPreprocessor) and not isinstance(preprocessor, kind)
        if is_other or preprocessor is not None and not callable(preprocessor):
            raise ValueError(
                f"`preprocessor` of `{type(self).__name__}` must be a `{kind.__name__}`, a function of raw examples, "
                f'"auto" or None. Received: {shown(preprocessor)}.'
            )
        if isinstance(preprocessor, TaskPreprocessor):
            preprocessor = preprocessor.for_model(self)
        self.__dict__["__preprocessor"] = preprocessor

    def __setattr__(self, name, value):
        if name == "preprocessor":  # not a layer of the model, which would save the tokenizer a second time
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def preprocessor_settings(self) -> dict:
        """Returns the settings of the preprocessor that follow from those of the model."""
        return {}

    def example_losses(self, outputs, batch):
        """Returns the loss of every row, float32 `(B,)`."""
        raise NotImplementedError

    def own_loss(self, outputs, batch, row_weights):
        return mean_over_rows(self.example_losses(outputs, batch), row_weights)

    def saved_apart(self):
        return (self.encoder,)

    # --- saving

    def get_config(self):
        """Returns the entries that the config of every task model has."""
        config = self.layer_state() | {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(plain_policy(self.dtype_policy)),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }
        preprocessor = self.preprocessor
        if preprocessor is None and self.preprocessor_cls is not None:
            config["preprocessor"] = None
        elif isinstance(preprocessor, TaskPreprocessor) and preprocessor.own_settings:
            serialized = keras.saving.serialize_keras_object(preprocessor)
            dropped = {"tokenizer", *preprocessor.defaults} - preprocessor.own_settings.keys()  # saved in this model
            own = {name: value for name, value in serialized["config"].items() if name not in dropped}
            config["preprocessor"] = serialized | {"config": own}
        elif preprocessor is not None and not isinstance(preprocessor, TaskPreprocessor):
            config["preprocessor"] = keras.saving.serialize_keras_object(preprocessor)
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        state = config.pop(KEY, None)
        if "backbone" in config:  # a preset of keras-hub's form
            config["encoder"] = config.pop("backbone")
        revive = keras.saving.deserialize_keras_object
        for name, of_name in (
            ("encoder", revive),
            ("preprocessor", revive),
            ("dtype", keras.dtype_policies.deserialize),
        ):
            if isinstance(config.get(name), dict):
                config[name] = of_name(config[name])
        made = cls(**config)
        if state:
            made.restore_layer_state(state)
        return made

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Makes a model from a preset, a checkpoint of any format, or the name of an architecture.

        If the source has no head for the task, or `labels` (or `num_classes`) differ from those of its head, the head
        is new: `conversion_notes` of the model says so. Train it before use.

        Args:
            preset: path or name: a folder that `save_to_preset` wrote, or anything that `load_pretrained` reads, e.g.
                `"hf://SpanBERT/spanbert-base-cased"`. `"tiny"`, `"small"`, `"base"` and `"large"` name an architecture
                without weights.
            load_weights: bool. Whether weights are loaded; else they are random.
            **kwargs: arguments of the constructor, which replace the source's settings; `dtype`; those of
                `load_pretrained`; `tokenizer` for an architecture.

        Raises:
            InputError: the source cannot be used, or lacks settings that the model needs, such as `labels`.
            ValueError: an architecture's weights were requested.
        """
        return TaskModel.preset_loader(cls, preset, load_weights, kwargs)

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Writes a keras-hub preset directory: configuration, weights of the encoder and of the head, tokenizer.

        Args:
            preset_dir: str or path. The directory; created if missing.
            max_shard_size: float. Largest weights file, in GB.
        """
        super().save_to_preset(os.fspath(preset_dir), max_shard_size=max_shard_size)
        path = pathlib.Path(preset_dir) / "task.json"
        task = json.loads(path.read_text(encoding="utf-8"))
        task["config"]["backbone"] = task["config"].pop("encoder")  # what keras-hub's loaders look for
        path.write_text(json.dumps(task, indent=4), encoding="utf-8")
        write_checksums(preset_dir, PRESET_FILES)


def _share_tokenizer(encoder, preprocessor) -> None:
    """Gives an encoder the tokenizer of a preprocessor if it has none, or one without its vocabulary."""
    tokenizer = getattr(preprocessor, "tokenizer", None)
    if tokenizer is not None and (encoder.tokenizer is None or not encoder.tokenizer.has_vocabulary):
        encoder.tokenizer = tokenizer


TaskPreprocessor.backbone_cls = SpanBertEncoder
