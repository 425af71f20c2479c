"""What a page says of a record: words that the inputs know, and the page does not."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Record:
    """The words for a record.

    Attributes:
        one: what it is called; its plural has an s.
        article: of it.
        unit: what its places are measured in.
        harder: how training sees it otherwise than validation does.
        input: what a network takes of it, with {sides} in place of its shape.
    """

    one: str = "record"
    article: str = "a"
    unit: str = "places"
    harder: str = "with augmentation or dropout"
    input: str = "{sides}"
