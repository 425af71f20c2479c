"""A number, on a device."""

from cnnkit.device.kinds import TaskKind


class Number(TaskKind):
    """A number in the unit that the metadata name."""

    name = "number"
    outputs = ("number",)
    entry = "number"

    def answer(self, outputs, metadata, labels, top):
        return {"number": round(float(outputs["number"][0]), 4), "unit": metadata["number"]["unit"]}

    def told(self, answer):
        return [f"{answer['number']:.4g} {answer['unit']}"]


KIND = Number()
