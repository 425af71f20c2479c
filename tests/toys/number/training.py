"""A number: its scale, its loss, its error."""

import numpy as np

from cnnkit import metrics
from cnnkit.data.sources import Values
from cnnkit.evaluation.task import Task
from cnnkit.score import LESS, Score, Scores
from cnnkit.tasks.training import TaskTraining


class Graph(TaskTraining):
    """Brings what training learnt, of mean 0 and deviation 1, back to its unit."""

    def finish(self, model, metadata):
        from keras import layers

        about = metadata["number"]
        scaled = layers.Rescaling(about["std"], about["mean"], dtype="float32", name="number")
        return {"number": scaled(model.output)}


KIND = Graph()


class Number(Task):
    """A number in a unit; an exported model may be `tolerance` of it worse."""

    name, headline = "number", "mean_absolute_error"

    def __init__(self, unit, tolerance, mean=0.0, std=1.0):
        self.unit, self.mean, self.std, self.tolerance = unit, mean, std, (tolerance, tolerance)

    def fitted(self, splits, earlier):
        values = splits.train.targets(np.arange(len(splits.train)))
        found = earlier.get("number") or {"mean": float(values.mean()), "std": float(values.std())}
        return Number(self.unit, self.tolerance[0], found["mean"], found["std"])

    def facts(self):
        return {"number": {"unit": self.unit, "mean": self.mean, "std": self.std}}

    def encoder(self, classes):
        return lambda targets: (targets[:, None] - self.mean) / self.std

    def loss(self, settings):
        import keras

        return keras.losses.MeanSquaredError()

    def words(self, target, labels):
        return f"{float(np.ravel(target)[0]):.4g} {self.unit}"

    def score(self, outputs, targets, labels, metadata=None):
        mean = (metadata or self.facts())["number"]["mean"]
        errors, others = abs(outputs["number"][:, 0] - targets), abs(mean - targets)
        sure = metrics.sign_flips(others - errors) < metrics.CHANCE
        constant = {"name": "always the mean", "value": float(others.mean()), "sure": bool(sure)}
        return Scores(self.error(errors), count=len(errors), constant=constant)

    def error(self, errors):
        value, half = float(errors.mean()), 1.96 * float(errors.std()) / len(errors) ** 0.5
        return Score(self.headline, value, self.unit, LESS, (value - half, value + half), per_record=errors)

    def baseline(self, train, test, validation=None, found=None, whole=None):
        from sklearn.linear_model import Ridge

        few, every = (np.arange(len(records)) for records in (train, test))
        model = Ridge().fit(train.flat(few)[0], train.targets(few))
        score = self.error(abs(model.predict(test.with_shape(train.input_shape).flat(every)[0]) - test.targets(every)))
        return {"name": "ridge regression", score.name: score.value, f"{score.name}_interval": score.interval}


def targets(texts):
    """Return what `Records` has of numbers besides inputs."""
    return {"targets": Values(texts)}
