"""The state of inner layers in a config: whether they are frozen, quantized, adapted or regularized."""

import functools
import gc
from typing import Any

import keras

from spanbert_keras.layers.saving.adapter_weights import AdapterWeights
from spanbert_keras.layers.saving.layer_tree import LayerTree

KEY = "layer_state"  # in configs; absent where every layer inside is as its constructor makes it


class SavedState:
    """Mixin: the state of inner layers, which Keras does not save, is part of the config.

    Keras rebuilds a layer by its constructor, which does not know what was done to the layers inside it afterwards:
    `trainable = False`, `quantize`, `enable_lora`, regularizers. This mixin adds these to the config and restores them:
    in a model at once, in a layer once it is built. Since all of it is restored before the optimizer and the weights
    are loaded, both find the variables that they were saved from. Factors of LoRA are saved beside the kernels: Keras
    alone would merge them into the kernels.

    A class whose `get_config` does not reach this one's adds `layer_state()` to it.
    """

    built: bool
    build: Any

    def saved_apart(self) -> tuple:
        """Returns the inner layers that the config holds as objects, which keep their own state."""
        return ()

    def layer_state(self) -> dict:
        """Returns `{"layer_state": ...}` for the config; {} if every inner layer is as its constructor made it."""
        state = self.__dict__.get("_state_to_restore")
        if state is None:
            state = _state_of(LayerTree(self, self.saved_apart()))
        return {KEY: state} if state else {}

    def get_config(self):
        return super().get_config() | self.layer_state()

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        state = config.pop(KEY, None)
        made = super().from_config(config)
        if state or not made.trainable:  # a constructor that gets `trainable=False` does not pass it on to inner layers
            made.restore_layer_state(state or {})
        return made

    def restore_layer_state(self, state: dict) -> None:
        """Applies what `layer_state` returned to the inner layers, now or once this layer is built.

        Raises:
            ValueError: the state names a layer or a weight that does not exist.
        """
        if self.built:
            _restore(LayerTree(self, self.saved_apart()), state)
            return
        build = self.build
        object.__setattr__(self, "_state_to_restore", state)

        @functools.wraps(build)
        def build_and_restore(*args, **kwargs):
            build(*args, **kwargs)
            object.__setattr__(self, "_state_to_restore", None)
            _restore(LayerTree(self, self.saved_apart()), state)

        self.build = build_and_restore

    @property
    def _adapters(self):
        """The LoRA weights of the layers directly inside, `None` without any. Keras saves it after these layers."""
        if not AdapterWeights.layers_of(self):
            return None
        if "__adapter_weights" not in self.__dict__:  # one object: Keras knows by identity what it saved
            object.__setattr__(self, "__adapter_weights", AdapterWeights(self))
        return self.__dict__["__adapter_weights"]


def plain_policy(policy):
    """Returns a dtype policy without entries for quantized layers, whose state is kept apart."""
    if not isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        return policy
    kept = {path: one for path, one in policy.items() if one.quantization_mode is None}
    return keras.dtype_policies.DTypePolicyMap(policy.default_policy, kept) if kept else policy.default_policy


def without_policy_map(config: dict, inside: tuple[str, ...] = ("",)) -> dict:
    """Returns a config whose quantized layers are in its state; earlier versions wrote them as a dtype policy map.

    Args:
        config: of a model.
        inside: what the paths of this model's own layers begin with.
    """
    policy = config.get("dtype")
    policy = keras.dtype_policies.deserialize(policy) if isinstance(policy, dict) else policy
    if not isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        return config
    quantized = {
        path: {"mode": one.quantization_mode, "config": None}
        for path, one in policy.items()
        if one.quantization_mode is not None and path.startswith(inside)
    }
    state = {"quantized": quantized} | config.get(KEY, {})
    return config | {"dtype": plain_policy(policy), KEY: state}


def _state_of(tree: LayerTree) -> dict:
    """Returns what differs from a newly made layer, as JSON values."""
    serialize = keras.saving.serialize_keras_object
    state: dict = {"quantized": {}, "lora": {}, "trainable": {}, "trainable_weights": {}}
    state |= {"activity_regularizers": {}, "regularizers": {}, "constraints": {}}
    for path, layer in tree.layers.items():
        if layer.quantization_mode is not None:
            config = getattr(layer, "quantization_config", None)
            state["quantized"][path] = {"mode": layer.quantization_mode, "config": serialize(config)}
        if getattr(layer, "lora_enabled", False):
            state["lora"][path] = {"rank": layer.lora_rank, "alpha": layer.lora_alpha}
        if layer.trainable != tree.parents[path].trainable:
            state["trainable"][path] = layer.trainable
        if layer.activity_regularizer is not None:
            state["activity_regularizers"][path] = serialize(layer.activity_regularizer)
    for path, (weight, owner) in tree.weights.items():
        if weight.trainable != owner.trainable:
            state["trainable_weights"][path] = weight.trainable
        if weight.regularizer is not None:
            state["regularizers"][path] = serialize(weight.regularizer)
        if weight.constraint is not None:
            state["constraints"][path] = serialize(weight.constraint)
    return {key: value for key, value in state.items() if value}


def _quantize(tree: LayerTree, states: dict) -> None:
    """Quantizes the layers that have such a state."""
    if not states:
        return
    gc.freeze()  # Keras collects garbage once per quantized layer: among millions of objects, 0.3 s each
    try:
        for path, state in states.items():
            layer = tree.layer(path)
            if layer.quantization_mode is None:  # else a dtype policy did it already
                layer.quantize(state["mode"], config=keras.saving.deserialize_keras_object(state["config"]))
    finally:
        gc.unfreeze()


def _restore(tree: LayerTree, state: dict) -> None:
    """Applies a state: first what creates weights (quantization, LoRA), then their flags and regularizers."""
    revive = keras.saving.deserialize_keras_object
    _quantize(tree, state.get("quantized", {}))
    for path, lora in state.get("lora", {}).items():
        layer = tree.layer(path)
        if not layer.lora_enabled:
            layer.enable_lora(lora["rank"], lora_alpha=lora["alpha"])
        layer.lora_alpha = lora["alpha"]  # a Keras layer that enables LoRA by its own config forgets it
    for path, regularizer in state.get("activity_regularizers", {}).items():
        tree.layer(path).activity_regularizer = revive(regularizer)
    _restore_trainable(tree, state.get("trainable", {}))
    tree = tree.again()  # with the weights that quantization and LoRA made
    flags = state.get("trainable_weights", {})
    for path, (weight, owner) in tree.weights.items():
        # Integers and scales are not trained; files of earlier versions do not list them.
        as_made = weight.trainable and owner.trainable
        weight.trainable = flags.get(path, owner.trainable if owner.quantization_mode is None else as_made)
    for path in flags:
        tree.weight(path)
    for key, name in (("regularizers", "regularizer"), ("constraints", "constraint")):
        for path, value in state.get(key, {}).items():
            setattr(tree.weight(path), name, revive(value))


def _restore_trainable(tree: LayerTree, flags: dict[str, bool]) -> None:
    """Sets every layer's `trainable`. Setting one sets those inside it, also one that it shares with another layer:
    so until nothing changes."""
    for path in flags:
        tree.layer(path)
    wanted = {id(tree.root): tree.root.trainable}
    for path, layer in tree.layers.items():
        wanted[id(layer)] = flags.get(path, wanted[id(tree.parents[path])])
    for _ in range(3):
        for layer in tree.layers.values():
            if layer.trainable != wanted[id(layer)]:
                layer.trainable = wanted[id(layer)]
