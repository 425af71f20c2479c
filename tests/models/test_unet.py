"""U-Nets: of two and three dimensions, and on backbones."""

import numpy as np
import pytest

from cnnkit.keras_files import refuse_code
from cnnkit.models.unets import backbone_unet, unet
from tests.contracts import images, told


def built(make, *args, **options):
    import keras

    keras.utils.set_random_seed(0)
    return make(*args, **options)


THICK = {"strides": [(1, 2, 2), (2, 2, 2)], "kernels": [(1, 3, 3), (3, 3, 3), (3, 3, 3)]}
NETWORKS = {
    "plain": (unet, (32, 48, 1), {"width": 4, "depth": 3}),
    "without residuals": (unet, (32, 32, 3), {"width": 4, "depth": 2, "residual": False}),
    "volume": (unet, (8, 16, 16, 1), {"width": 4, "depth": 2}),
    "thick slices": (unet, (6, 16, 16, 1), {"width": 4, "depth": 2, **THICK}),
    "backbone": (backbone_unet, (64, 64, 3), {"width": 8}),
}


@pytest.fixture(params=list(NETWORKS), scope="module")
def network(request):
    make, shape, options = NETWORKS[request.param]
    return make, shape, options, built(make, shape, 2, **options)


def test_each_place_has_a_logit_for_each_label(network):
    _, shape, _, model = network
    found = told(model, images(2, *shape))
    assert found.shape == (2, *shape[:-1], 2)
    assert model.get_layer("logits").output.dtype == "float32"
    assert np.ptp(found, axis=(1, 2)).min() > 0, "the logits do not depend on the place"


def test_it_repeats(network):
    make, shape, options, model = network
    again = built(make, shape, 2, **options)
    assert (told(again, images(1, *shape)) == told(model, images(1, *shape))).all()


def test_it_is_saved_and_opened(network, tmp_path):
    import keras

    _, shape, _, model = network
    model.save(tmp_path / "model.keras")
    refuse_code(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert (told(again, images(1, *shape)) == told(model, images(1, *shape))).all()


def test_all_of_it_learns(network):
    import tensorflow as tf

    _, shape, _, model = network
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(images(2, *shape), training=True) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    without = [v.path for v, g in zip(model.trainable_variables, gradients) if g is None or not np.abs(g).max() > 0]
    assert len(without) <= 0.02 * len(gradients), without


def test_its_parameters_were_counted_by_hand():
    """One label, one channel, four channels wide, halved once, no residual."""
    own = 9 * 1 * 4 + 4 * 4  # a convolution at full size, and its norm
    below = 9 * 4 * 8 + 4 * 8 + 9 * 8 * 8 + 4 * 8
    double = 2 * 2 * 8 * 4 + 4
    up = 9 * 8 * 4 + 4 * 4
    assert unet((8, 8, 1), 1, width=4, depth=1).count_params() == own + below + double + up + 4 + 1


def test_strides_and_kernels_are_those_of_each_level():
    model = unet((6, 16, 16, 1), 1, width=2, depth=2, supervised=1, **THICK)
    sides = {
        name: model.get_layer(name).output.shape[1:4] for name in ("down0_first_conv", "down1_first_conv", "down2_relu")
    }
    assert list(sides.values()) == [(6, 16, 16), (6, 8, 8), (3, 4, 4)]
    shapes = {
        name: model.get_layer(f"{name}_conv").kernel_size for name in ("down0_first", "down1_second", "up0_first")
    }
    assert list(shapes.values()) == [(1, 3, 3), (3, 3, 3), (1, 3, 3)]
    assert model.get_layer("up0_double").kernel_size == (1, 2, 2)
    assert model.get_layer("logits1_large").size == (1, 2, 2) and model.output.shape == (None, 6, 16, 16, 2)


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 8, 1)])
def test_strides_and_kernels_not_given_are_two_and_three(shape):
    rank = len(shape) - 1
    said = built(unet, shape, 1, width=2, depth=2, strides=[[2] * rank] * 2, kernels=[[3] * rank] * 3)
    one, other = (told(model, images(1, *shape)) for model in (built(unet, shape, 1, width=2, depth=2), said))
    assert (one == other).all()


def test_coarser_maps_answer_too_in_training():
    model = built(unet, (16, 16, 1), 2, width=4, depth=3, supervised=2)
    assert model.output.shape == (None, 16, 16, 6)
    every = told(model, images(1, 16, 16, 1))
    import keras

    fine = told(keras.Model(model.input, model.get_layer("logits").output), images(1, 16, 16, 1))
    assert (every[..., :2] == fine).all()
    assert (every[:, 0::2, 0::2, 2:4] == every[:, 1::2, 1::2, 2:4]).all(), "the next has half the resolution"


@pytest.mark.parametrize(
    ("make", "shape", "options", "said"),
    [
        (unet, (30, 32, 1), {"depth": 2}, r"multiples of 4 px at `depth=2`\. Received: image_shape=\(30, 32, 1\)"),
        (unet, (6, 8, 10, 1), {"depth": 2, **THICK}, r"multiples of 2 x 4 x 4 px at `depth=2`\."),
        (unet, (8, 8, 8, 1), {"depth": 2, "strides": [(2, 2, 2)]}, r"`strides` needs 2 times 3 .*=\(\(2, 2, 2\),\)"),
        (
            unet,
            (8, 8, 1),
            {"depth": 1, "kernels": [(3, 3), (3, 0)]},
            r"`kernels` needs 2 times 2 whole numbers of at least 1",
        ),
        (unet, (32, 1), {}, "two or three sides"),
        (unet, (32, 32, 1), {"width": 0}, "width"),
        (unet, (32, 32, 1), {"supervised": 4}, "below `depth`"),
        (backbone_unet, (48, 64, 3), {}, r"multiples of 32 px\. Received: image_shape=\(48, 64, 3\)"),
        (backbone_unet, (64, 64, 3), {"backbone": "none"}, "none"),
    ],
)
def test_what_cannot_be_built_is_refused(make, shape, options, said):
    with pytest.raises(ValueError, match=said):
        make(shape, 1, **options)
