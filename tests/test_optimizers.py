"""The optimizer: rows of an embedding updated and averaged alone, a rate for each layer; its schedule."""

import keras
import numpy as np
import pytest

from cnnkit import optimizers

tf = pytest.importorskip("tensorflow")

ADAM = {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "weight_decay": 0.0}


def table(rows=6, width=3, seed=0):
    return keras.Variable(np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32), name="embeddings")


def slices(rows, values, count=6):
    values = np.asarray(values, np.float32)
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows, tf.int32), (count, values.shape[1]))


def by_hand(start, steps):
    """Adam in NumPy, a row at rest while it has no gradient; returns weights and both moments."""
    rows, rate, b1, b2, eps = start.astype(np.float64), 0.1, 0.9, 0.999, 1e-7
    first, second = np.zeros_like(rows), np.zeros_like(rows)
    for t, (chosen, values) in enumerate(steps, 1):
        slope = np.zeros_like(rows)
        np.add.at(slope, chosen, values)
        for row in set(chosen):
            first[row] = b1 * first[row] + (1 - b1) * slope[row]
            second[row] = b2 * second[row] + (1 - b2) * slope[row] ** 2
            rows[row] -= rate * np.sqrt(1 - b2**t) / (1 - b1**t) * first[row] / (np.sqrt(second[row]) + eps)
    return rows, first, second


def test_rows_take_adams_step_and_the_others_rest():
    variable, rng = table(), np.random.default_rng(1)
    start = np.array(variable)
    optimizer = optimizers.LayerwiseAdamW(**ADAM)
    optimizer.build([variable])
    steps = [([1, 3, 1], rng.normal(size=(3, 3))), ([3], rng.normal(size=(1, 3))), ([4, 1], rng.normal(size=(2, 3)))]
    for rows, values in steps:
        optimizer.apply([slices(rows, values)], [variable])
    weights, first, second = by_hand(start, steps)
    np.testing.assert_allclose(np.array(variable), weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.array(optimizer._momentums[0]), first, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(np.array(optimizer._velocities[0]), second, rtol=1e-5, atol=1e-7)
    rest = [0, 2, 5]
    assert np.array_equal(np.array(variable)[rest], start[rest]), "bit for bit"
    assert not np.array(optimizer._momentums[0])[rest].any() and not np.array(optimizer._velocities[0])[rest].any()


def test_the_first_step_of_a_row_is_the_rate_whatever_its_slope():
    variable = table()
    start = np.array(variable)
    optimizer = optimizers.LayerwiseAdamW(**ADAM)
    optimizer.build([variable])
    optimizer.apply([slices([2, 2], [[3, -1, 0.5], [2, -1, 0.5]])], [variable])
    np.testing.assert_allclose(np.array(variable)[2] - start[2], [-0.1, 0.1, -0.1], rtol=1e-4)


def test_with_every_row_in_every_step_it_is_kerass_adamw():
    ours, plain = table(), table()
    both = optimizers.LayerwiseAdamW(**ADAM), keras.optimizers.AdamW(**ADAM)
    for optimizer, variable in zip(both, (ours, plain)):
        optimizer.build([variable])
    rng = np.random.default_rng(2)
    for _ in range(5):
        rows = np.r_[rng.permutation(6), rng.integers(0, 6, 4)]  # some of them twice
        values = rng.normal(size=(10, 3)).astype(np.float32)
        dense = np.zeros((6, 3), np.float32)
        np.add.at(dense, rows, values)
        both[0].apply([slices(rows, values)], [ours])
        both[1].apply([tf.constant(dense)], [plain])
    np.testing.assert_allclose(np.array(ours), np.array(plain), rtol=1e-5, atol=1e-6)


def test_a_layers_own_rate_holds_for_its_rows():
    moved = {}
    for rate in (1.0, 0.25):
        variable = table()
        start = np.array(variable)
        optimizer = optimizers.LayerwiseAdamW(**ADAM, rates={variable.path: rate})
        optimizer.build([variable])
        optimizer.apply([slices([1], [[1, 2, 3]])], [variable])
        moved[rate] = (np.array(variable) - start)[1]
    np.testing.assert_allclose(moved[0.25], 0.25 * moved[1.0], rtol=1e-4)


@pytest.mark.parametrize("compiled", [False, True])
def test_averages_are_of_every_row_though_steps_touch_few(compiled):
    """Against a pass over everything after each step, as Keras makes it; a bias is averaged beside."""
    words, bias = table(), keras.Variable(np.zeros(3, np.float32), name="bias")
    optimizer = optimizers.LayerwiseAdamW(**ADAM, use_ema=True, ema_momentum=0.8)
    optimizer.build([words, bias])
    np.testing.assert_array_equal(optimizer.averages()[0], np.array(words), "before any step")

    def step(rows, values):
        gradients = tf.IndexedSlices(values, rows, tf.constant([6, 3])), values[0]
        optimizer.apply(gradients, [words, bias])

    step = tf.function(step, reduce_retracing=True) if compiled else step
    rng, expected = np.random.default_rng(3), None
    for rows in ([1, 3, 1], [3], [4, 1], [3, 3], [3], [0, 1]):
        values = rng.normal(size=(len(rows), 3)).astype(np.float32)
        step(tf.constant(rows), tf.constant(values))
        now = [np.array(words, np.float64), np.array(bias, np.float64)]
        expected = now if expected is None else [0.8 * e + 0.2 * n for e, n in zip(expected, now)]
        for found, whole in zip(optimizer.averages(), expected):
            np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
    assert np.array_equal(optimizer.averages()[0][[2, 5]], np.array(words)[[2, 5]]), "rows at rest, bit for bit"


def test_averages_of_an_embedding_whose_gradient_is_whole():
    words, expected = table(), None
    optimizer = optimizers.LayerwiseAdamW(**ADAM, use_ema=True, ema_momentum=0.5)
    optimizer.build([words])
    for value in (1.0, -2.0, 3.0):
        optimizer.apply([tf.fill((6, 3), value)], [words])
        now = np.array(words, np.float64)
        expected = now if expected is None else 0.5 * expected + 0.5 * now
    np.testing.assert_allclose(optimizer.averages()[0], expected, rtol=1e-5)


def test_layers_learn_at_their_own_rates():
    one, other = (keras.Variable(np.ones(3, "float32"), name=name) for name in ("one", "other"))
    optimizer = optimizers.LayerwiseAdamW(0.1, weight_decay=0.0, rates={one.path: 0.25})
    optimizer.apply([keras.ops.ones(3), keras.ops.ones(3)], [one, other])
    np.testing.assert_allclose(1 - np.array(one), 0.025, rtol=1e-4)  # Adam's first step is the learning rate
    np.testing.assert_allclose(1 - np.array(other), 0.1, rtol=1e-4)


def test_the_learning_rate_warms_up_and_ends_at_zero():
    schedule = optimizers.WarmupCosine(0.1, 100, 0.1)
    rates = [float(schedule(step)) for step in range(100)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[9] == pytest.approx(0.1)
    assert rates[54] == pytest.approx(0.05)  # half of the cosine
    assert rates[99] == pytest.approx(0.0, abs=1e-6)
