"""The layers and weights inside a layer, by paths that do not depend on where it was built."""


class LayerTree:
    """Every layer inside another one, and every weight, by the names on the way to it.

    A layer that can be reached in several ways has only the first path. Keras' own `path` depends on the name scope
    that a layer was built in.

    Args:
        root: built layer or model.
        apart: layers inside it that are left out, with all that they hold.

    Attributes:
        root: the layer itself.
        layers: dict from path to layer, parents first; the root is not among them.
        parents: dict from a layer's path to the layer that holds it.
        weights: dict from path to (weight, the layer that holds it), the root's own among them.
    """

    def __init__(self, root, apart: tuple = ()):
        self.root = root
        self.apart = apart
        self.layers: dict = {}
        self.parents: dict = {}
        self.weights: dict = {}
        self._seen = {id(root)} | {id(layer) for one in apart for layer in one._flatten_layers()}
        self._seen |= {id(weight) for one in apart for weight in one.weights}
        self._visit(root, "")

    def again(self) -> "LayerTree":
        """Returns the tree as it is now."""
        return LayerTree(self.root, self.apart)

    def layer(self, path: str):
        """Returns the layer at a path; raises `ValueError` if it is absent."""
        return self._found(self.layers, path, "layer")

    def weight(self, path: str):
        """Returns the weight at a path; raises `ValueError` if it is absent."""
        return self._found(self.weights, path, "weight")[0]

    def _found(self, places: dict, path: str, kind: str):
        if path not in places:
            raise ValueError(
                f"The saved state of `{type(self.root).__name__}` names the {kind} {path!r}, which is not here. "
                "It was saved by another version of this class."
            )
        return places[path]

    def _visit(self, layer, path: str) -> None:
        children = own_layers(layer)
        inner = {id(weight) for child in children for weight in child.weights}
        for weight in layer.weights:
            if id(weight) not in inner | self._seen:
                self._seen.add(id(weight))
                self.weights[_free(self.weights, path + weight.name)] = weight, layer
        for child in children:
            if id(child) not in self._seen:
                self._seen.add(id(child))
                place = _free(self.layers, path + child.name)
                self.layers[place], self.parents[place] = child, layer
                self._visit(child, f"{place}/")


def own_layers(layer) -> list:
    """Returns the layers directly inside a layer."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _free(taken: dict, path: str) -> str:
    """Returns the path, with a number if it is taken."""
    number, free = 1, path
    while free in taken:
        number, free = number + 1, f"{path}#{number + 1}"
    return free
