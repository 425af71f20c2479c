"""What an exported file answers, whatever numbers its outputs hold."""

import keras
import numpy as np
import pytest

from cnnkit.device.model import DeviceModel


def files(folder, answered):
    """Write a network in int8 whose answers are of a type; returns its path, and the network."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    given = keras.Input((4,), batch_size=1)
    model = keras.Model(given, {"values": keras.layers.Dense(3, name="dense")(given)})
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_output_type = tf.as_dtype(answered)
    inputs = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    converter.representative_dataset = lambda: ([row[None]] for row in inputs)
    path = folder / "x.tflite"
    path.write_bytes(converter.convert())
    return path, model, inputs


@pytest.mark.parametrize("answered", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("kernels", ["default", "reference"])
def test_steps_of_a_quantised_answer_become_numbers(tmp_path, answered, kernels):
    path, model, inputs = files(tmp_path, answered)
    device = DeviceModel.open(path, known=True, kernels=kernels)
    (output,), (found,) = device._outputs.values(), device.one_by_one(inputs).values()
    trained = np.concatenate([model(row[None])["values"] for row in inputs])
    assert output["dtype"] == np.dtype(answered)
    assert found.dtype == np.float32 and np.abs(found - trained).max() < 0.05 * np.ptp(trained)


def test_whole_numbers_that_stand_for_themselves_stay_so(tmp_path):
    import tensorflow as tf

    given = keras.Input((4,), batch_size=1)
    model = keras.Model(given, {"values": keras.ops.cast(given, "int32")})
    path = tmp_path / "x.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    (found,) = DeviceModel.open(path, known=True).run(np.array([0, 3, 1, -2], np.float32)).values()
    assert found.dtype == np.int32 and found.tolist() == [[0, 3, 1, -2]]


def test_what_a_file_does_not_say_of_itself_may_be_given(tmp_path):
    path, _, _ = files(tmp_path, "int8")
    about = {"task": "classification", "labels": ["a", "b", "c"], "input": {"kind": "image"}}
    assert DeviceModel.open(path, known=True).metadata == {}
    device = DeviceModel.open(path, known=True, metadata=about)
    assert device.labels == ("a", "b", "c") and device.metadata == about and device.doubt is None
