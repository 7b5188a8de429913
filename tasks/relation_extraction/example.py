"""A sentence with a subject, an object and their relation."""

import dataclasses

from spanbert_keras import EntityPair


@dataclasses.dataclass(frozen=True)
class Example:
    """A sentence with two entities, and how they are related.

    Attributes:
        id: str. Unique in its file; predictions are keyed by it.
        pair: `spanbert_keras.EntityPair`. Its units are the tokens.
        relation: str. The gold label.
    """

    id: str
    pair: EntityPair
    relation: str
