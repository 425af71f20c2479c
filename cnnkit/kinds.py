"""What apps are made of: kinds of inputs with what is learnt of them, by public names.

    app = cnnkit.App("Tell shapes apart.", fields, name="shapes", kind=cnnkit.kinds.image_classification)

Each brings the inputs, the task, the reading of data, the settings and the words of the command line. Nothing is imported before
it is asked for.
"""

TYPE_CHECKING = False  # as type checkers read it

KINDS = {
    "image_classification": "cnnkit.tasks.classification.kinds",
    "image_regression": "cnnkit.tasks.regression.kinds",
    "image_segmentation": "cnnkit.tasks.segmentation.kinds",
    "object_detection": "cnnkit.tasks.detection.kinds",
    "text_classification": "cnnkit.tasks.classification.kinds",
}
"""The kinds by name, and the module of each."""

if TYPE_CHECKING:
    from cnnkit.tasks.classification.kinds import image_classification, text_classification
    from cnnkit.tasks.detection.kinds import object_detection
    from cnnkit.tasks.regression.kinds import image_regression
    from cnnkit.tasks.segmentation.kinds import image_segmentation

__all__ = ("image_classification", "image_regression", "image_segmentation", "object_detection", "text_classification")


if not TYPE_CHECKING:  # a type checker that saw this would believe any name
    from cnnkit.late import getter

    __getattr__ = getter(__name__, KINDS, "kind")


def __dir__() -> list[str]:
    return [*__all__]
