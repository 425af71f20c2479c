"""Model builders: f(shape, classes, *, options) -> `keras.Model`, from inputs as records have them to logits.

    model = cnnkit.models.classifier((224, 224, 3), 10)
    model = cnnkit.models.small_cnn((28, 28, 1), 10, width=16)

They are plain Keras models: compile them with losses that take logits (`from_logits=True`). Pictures go in as they are, float32
in [0, 255]: a model scales them itself.

Nothing is imported here before it is asked for: naming one network must not load the others.
"""

TYPE_CHECKING = False  # as type checkers read it

BUILDERS = {
    "backbone": "cnnkit.models.backbones",
    "backbone_unet": "cnnkit.models.unets",
    "char_cnn": "cnnkit.models.text",
    "classifier": "cnnkit.models.images",
    "densenet": "cnnkit.models.classic",
    "detector": "cnnkit.models.detectors",
    "dpcnn": "cnnkit.models.text",
    "kim": "cnnkit.models.text",
    "lenet5": "cnnkit.models.classic",
    "micro_cnn": "cnnkit.models.small",
    "resnet": "cnnkit.models.classic",
    "simple_cnn": "cnnkit.models.classic",
    "small_cnn": "cnnkit.models.small",
    "spot_cnn": "cnnkit.models.small",
    "unet": "cnnkit.models.unets",
    "wide_cnn": "cnnkit.models.text",
}
"""The builders by name, and the module of each."""

if TYPE_CHECKING:
    from cnnkit.models.backbones import backbone
    from cnnkit.models.classic import densenet, lenet5, resnet, simple_cnn
    from cnnkit.models.detectors import detector
    from cnnkit.models.images import classifier
    from cnnkit.models.small import micro_cnn, small_cnn, spot_cnn
    from cnnkit.models.text import char_cnn, dpcnn, kim, wide_cnn
    from cnnkit.models.unets import backbone_unet, unet

__all__ = (
    "backbone",
    "backbone_unet",
    "char_cnn",
    "classifier",
    "densenet",
    "detector",
    "dpcnn",
    "kim",
    "lenet5",
    "micro_cnn",
    "resnet",
    "simple_cnn",
    "small_cnn",
    "spot_cnn",
    "unet",
    "wide_cnn",
)


if not TYPE_CHECKING:  # a type checker that saw this would believe any name
    from cnnkit.late import getter

    __getattr__ = getter(__name__, BUILDERS, "builder")


def __dir__() -> list[str]:
    return [*__all__]
