"""The tasks there are, a folder each; `cnnkit.registry` finds them, and those of other packages, by their names.

What a task has to say, and where:

- `device.py`, its half for devices (`cnnkit.device.kinds.TaskKind`): its name, the outputs that an exported model
  answers with, which of them has a place for each label, which are probabilities. The gate compares probabilities by
  their logarithms, others as they are. By default there is one output, `values`, and there need be no labels.
- `training.py`, its half for a trained model (`TaskTraining` in `cnnkit.tasks.training`): how the exported graph ends,
  back in the unit of the targets; layers that Keras has to know; the sections of a report that say what scores are made
  of; what a model cannot say. By default the graph ends as the model does, and classes have a table.
- what learns and scores, the `task` of a recipe (as in `cnnkit.tasks.classification.scoring`): targets and loss of
  training, a model's outputs for records, scores, a baseline, what validation data decide, what a table shows.

Scores are `cnnkit.score.Scores`, and begin with a `Score` that knows its unit and which way is better; tables, the
verdict, the gate, `run.json` and the report ask it. The task's `tolerance` for the gate is (overall, in a class), in
points of a share, else in the score's unit. Where `changes` cannot count won and lost records (None), the scores of
each record tell what may be chance; where there are none either, no loss beyond the tolerance may. `constant` is the
best answer without a model, the lowest bar there is.
"""
