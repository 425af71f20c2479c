"""C++ for TensorFlow Lite Micro, beside a file: its bytes as an array, what its numbers mean, its operators, and a program.

Design choices:
- C++17 and the standard library, plain templates: a name begins with a `$`.
- What the model is lies apart from TFLM: `NAME_model.h` includes none of it.
- The program answers one input, which is a file of plain numbers, so that it runs on a computer too. It does with the answer what
  its form says (`cnnkit.export.forms`), and no more: boxes are not suppressed, the best of each label is shown.
"""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from string import Template
from typing import Any

import numpy as np

from cnnkit.export.forms import Answer, Boxes, Given, Map, Numbers, Pixels, Shares, Tokens
from cnnkit.export.graph import Graph, Tensor

IN_A_LINE = 20  # bytes of the array


@dataclasses.dataclass(frozen=True)
class Described:
    """A file, as its C++ has to describe it.

    Attributes:
        name: of the model.
        file: name of the `.tflite`.
        content: of it.
        methods: of the resolver, that add what it needs.
        graph: whose input and outputs it has.
        given, answer: what these are; None: numbers.
        labels: of the answers.
        arena: bytes.
        about_arena: how that is known; a sentence.
    """

    name: str
    file: str
    content: bytes
    methods: Sequence[str]
    graph: Graph
    given: Given | None
    answer: Answer | None
    labels: Sequence[str]
    arena: int = 0
    about_arena: str = ""


HEADER = """\
// What $file is, for TensorFlow Lite Micro. Made by cnnkit: export again instead of changing it.
#ifndef $guard
#define $guard

#include <cstddef>
#include <cstdint>

namespace $space {

// The file. SHA-256: $sha256
constexpr std::size_t kModelBytes = $bytes;
extern const unsigned char kModel[kModelBytes];

// $about_arena
// Other kernels, such as those of CMSIS-NN, may need more: ask MicroInterpreter::arena_used_bytes() on the board.
constexpr std::size_t kArenaBytes = $arena;

// A stored number stands for scale * (stored - zero).
$constants
$labels
}  // namespace $space

#endif  // $guard
"""

SOURCE = """\
// The bytes of $file. Made by cnnkit: export again instead of changing it.
#include "$header"

namespace $space {

alignas(16) const unsigned char kModel[kModelBytes] = {
$array
};
$labels
}  // namespace $space
"""

OPERATORS = """\
// The operators of $file, and no others. Made by cnnkit: export again instead of changing it.
#ifndef $guard
#define $guard

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace $space {

using Resolver = tflite::MicroMutableOpResolver<$count>;

inline TfLiteStatus AddOperators(Resolver& resolver) {
$lines
  return kTfLiteOk;
}

}  // namespace $space

#endif  // $guard
"""

EXAMPLE = """\
// Answers one input with $file: $program FILE, where FILE holds $what.
// On a board: do once what main does up to AllocateTensors(), then fill, invoke and show for each input.
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "$header"
#include "$operators"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

using namespace $space;

alignas(16) uint8_t arena[kArenaBytes];
$number input[kInputCount];

void Fill(const $number* values, TfLiteTensor* tensor) {
$fill
}

$show

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: $program FILE\\n");
    return 2;
  }
  std::FILE* file = std::fopen(argv[1], "rb");
  if (file == nullptr) {
    std::fprintf(stderr, "%s cannot be read\\n", argv[1]);
    return 1;
  }
  const std::size_t count = std::fread(input, sizeof(input[0]), kInputCount, file);
  const bool more = std::fgetc(file) != EOF;
  std::fclose(file);
  if (count != kInputCount || more) {
    std::fprintf(stderr, "%s needs $what\\n", argv[1]);
    return 1;
  }

  tflite::InitializeTarget();
  const tflite::Model* model = tflite::GetModel(kModel);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    std::fprintf(stderr, "the model is of another version of the schema\\n");
    return 1;
  }
  Resolver resolver;
  if (AddOperators(resolver) != kTfLiteOk) {
    std::fprintf(stderr, "an operator is missing\\n");
    return 1;
  }
  tflite::MicroInterpreter interpreter(model, resolver, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    std::fprintf(stderr, "the arena is too small\\n");
    return 1;
  }
  Fill(input, interpreter.input(0));
  if (interpreter.Invoke() != kTfLiteOk) {
    std::fprintf(stderr, "the model cannot be run\\n");
    return 1;
  }
  Show(interpreter);
  return 0;
}
"""

PIXELS = """\
  for (std::size_t i = 0; i < kInputCount; ++i) {  // a byte less 128
    tensor->data.int8[i] = static_cast<int8_t>(values[i] + kInputZero);
  }"""
IDS = """\
  for (std::size_t i = 0; i < kInputCount; ++i) {
    tensor->data.i32[i] = values[i];
  }"""
QUANTISED = """\
  for (std::size_t i = 0; i < kInputCount; ++i) {
    const float stored = std::round(values[i] / kInputScale) + kInputZero;
    tensor->data.int8[i] = static_cast<int8_t>(stored < -128 ? -128 : stored > 127 ? 127 : stored);
  }"""

READ = """\
float $name(tflite::MicroInterpreter& interpreter, std::size_t i) {
  return k${name}Scale * (interpreter.output(k${name}Index)->data.int8[i] - k${name}Zero);
}

"""
BEST = """\
void Show(tflite::MicroInterpreter& interpreter) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < k${name}Count; ++i) {
    if ($name(interpreter, i) > $name(interpreter, best)) best = i;
  }
  std::printf("%s %.3f\\n", $label, static_cast<double>($name(interpreter, $shown)));
}"""
ABOVE = """\
constexpr float kThresholds[] = {$thresholds};

void Show(tflite::MicroInterpreter& interpreter) {
  for (std::size_t i = 0; i < k${name}Count; ++i) {
    const float share = $name(interpreter, i);
    if (share >= kThresholds[i]) std::printf("%s %.3f\\n", kLabels[i], static_cast<double>(share));
  }
}"""
MEASURED = """\
constexpr const char* kNames[] = {$names};
constexpr const char* kUnits[] = {$units};

void Show(tflite::MicroInterpreter& interpreter) {
  for (std::size_t i = 0; i < k${name}Count; ++i) {
    std::printf("%s %g %s\\n", kNames[i], static_cast<double>($name(interpreter, i)), kUnits[i]);
  }
}"""
EXCLUSIVE = """\
void Show(tflite::MicroInterpreter& interpreter) {  // the share of the pixels that has each label
  constexpr std::size_t channels = kLabelCount + 1;  // the first is that of no label
  std::size_t pixels[channels] = {};
  for (std::size_t i = 0; i < k${name}Count; i += channels) {
    std::size_t best = 0;
    for (std::size_t c = 1; c < channels; ++c) {
      if ($name(interpreter, i + c) > $name(interpreter, i + best)) best = c;
    }
    ++pixels[best];
  }
  for (std::size_t c = 1; c < channels; ++c) {
    std::printf("%s %.3f\\n", kLabels[c - 1], static_cast<double>(pixels[c]) * channels / k${name}Count);
  }
}"""
TOGETHER = """\
constexpr float kThresholds[] = {$thresholds};

void Show(tflite::MicroInterpreter& interpreter) {  // the share of the pixels that has each label
  std::size_t pixels[kLabelCount] = {};
  for (std::size_t i = 0; i < k${name}Count; ++i) {
    if ($name(interpreter, i) >= kThresholds[i % kLabelCount]) ++pixels[i % kLabelCount];
  }
  for (std::size_t c = 0; c < kLabelCount; ++c) {
    std::printf("%s %.3f\\n", kLabels[c], static_cast<double>(pixels[c]) * kLabelCount / k${name}Count);
  }
}"""
FOUND = """\
struct Grid {
  int stride, rows, columns;  // px of the input; cells
};
constexpr Grid kGrids[] = {$grids};
constexpr float kThreshold = $threshold;

void Show(tflite::MicroInterpreter& interpreter) {  // the best box of each label: left, top, right, bottom, px of the input
  for (std::size_t label = 0; label < kLabelCount; ++label) {
    float best = 0, box[4] = {};
    std::size_t cell = 0;
    for (const Grid& grid : kGrids) {
      for (int place = 0; place < grid.rows * grid.columns; ++place, ++cell) {
        const float score = $scores(interpreter, cell * kLabelCount + label);
        if (score < kThreshold || score <= best) continue;
        best = score;
        const float x = (place % grid.columns + 0.5f + $raw(interpreter, 4 * cell + 1)) * grid.stride;
        const float y = (place / grid.columns + 0.5f + $raw(interpreter, 4 * cell)) * grid.stride;
        const float width = std::exp(std::fmin($raw(interpreter, 4 * cell + 3), 6.0f)) * grid.stride;
        const float height = std::exp(std::fmin($raw(interpreter, 4 * cell + 2), 6.0f)) * grid.stride;
        box[0] = x - width / 2, box[1] = y - height / 2, box[2] = x + width / 2, box[3] = y + height / 2;
      }
    }
    if (best > 0) {
      std::printf("%s %.3f %.0f %.0f %.0f %.0f\\n", kLabels[label], static_cast<double>(best), static_cast<double>(box[0]),
                  static_cast<double>(box[1]), static_cast<double>(box[2]), static_cast<double>(box[3]));
    }
  }
}"""
LISTED = """\
  for (std::size_t i = 0; i < k${name}Count; ++i) {
    std::printf("$name %g\\n", static_cast<double>($name(interpreter, i)));
  }
"""


def names(name: str) -> list[str]:
    """Return the names of the files that `code` writes for a model of this name."""
    word = _word(name)
    return [f"{word}_model.h", f"{word}_model.cc", f"{word}_operators.h", f"{word}_example.cc"]


def code(found: Described) -> dict[str, str]:
    """Return the C++ beside a file, texts by name."""
    header, source, operators, example = names(found.name)
    word = _word(found.name)
    given, what, number, fill = _input(found)
    outputs = {name: tensor for name, (tensor, _) in found.graph.outputs.items()}
    places = {index: place for place, index in enumerate(found.graph.order)}
    constants = given + [_constants(_camel(name), t, places[t.index]) for name, t in outputs.items()]
    about = {
        "file": found.file,
        "space": f"{word}_model",
        "header": header,
        "operators": operators,
        "program": example.removesuffix(".cc"),
        "sha256": hashlib.sha256(found.content).hexdigest(),
        "bytes": str(len(found.content)),
        "arena": str(found.arena),
        "about_arena": found.about_arena,
        "constants": "\n".join(constants),
        "array": array(found.content),
        "what": what,
        "number": number,
        "fill": fill,
    }
    listed = ", ".join(map(string, found.labels))
    count = len(found.labels)
    declared = f"\nconstexpr std::size_t kLabelCount = {count};\nextern const char* const kLabels[kLabelCount];\n"
    defined = f"\nconst char* const kLabels[kLabelCount] = {{{listed}}};\n"
    lines = "\n".join(f"  TF_LITE_ENSURE_STATUS(resolver.{method}());" for method in found.methods)
    show = _show(found.answer, list(outputs))
    read = [
        name for name in map(_camel, outputs) if f"{name}(interpreter" in show
    ]  # a compiler complains of the others
    reading = "".join(Template(READ).substitute(name=name) for name in read)
    return {
        header: Template(HEADER).substitute(about, guard=_guard(header), labels=declared if count else ""),
        source: Template(SOURCE).substitute(about, labels=defined if count else ""),
        operators: Template(OPERATORS).substitute(
            about, guard=_guard(operators), count=len(found.methods), lines=lines
        ),
        example: Template(EXAMPLE).substitute(about, show=reading + show),
    }


def array(content: bytes) -> str:
    """Return bytes as the inside of an array, lines of numbers with commas."""
    rows = (content[start : start + IN_A_LINE] for start in range(0, len(content), IN_A_LINE))
    return ",\n".join("  " + ", ".join(f"0x{byte:02x}" for byte in row) for row in rows)


def string(text: str) -> str:
    """Return a text as a string of C: UTF-8, whatever is in it."""
    plain = {*range(0x20, 0x7F)} - {*b'"\\?'}  # two question marks may begin a trigraph
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def number(value: float) -> str:
    """Return a number as a float32 of C, exactly."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _word(name: str) -> str:
    word = re.sub(r"\W+", "_", name, flags=re.ASCII)
    return f"m{word}" if word[:1].isdigit() else word


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in _word(name).split("_"))


def _guard(header: str) -> str:
    return re.sub(r"\W", "_", header).upper() + "_"


def _input(found: Described) -> tuple[list[str], str, str, str]:
    """Return constants of the input, what a file of one holds, the type of a number there, and the code that takes it over."""
    (tensor,) = found.graph.inputs
    lines = [_constants("Input", tensor)]
    count, sides = int(np.prod(tensor.shape)), tensor.shape[1:]
    if isinstance(found.given, Pixels):
        high, wide, channels = sides
        lines.append(
            f"constexpr int kInputHeight = {high}, kInputWidth = {wide}, kInputChannels = {channels};"
            f"  // {'grey' if channels == 1 else 'RGB'}, row by row"
        )
        what = f"{count} bytes, a picture of {high} rows of {wide} pixels, {'grey' if channels == 1 else 'RGB'}"
        return lines, what, "uint8_t", PIXELS
    if isinstance(found.given, Tokens):
        return lines, f"{count} ids of words, int32 each", "int32_t", IDS
    return lines, f"{count} numbers, float32 each", "float", QUANTISED


def _constants(name: str, tensor: Tensor, place: int | None = None) -> str:
    shape = ", ".join(map(str, tensor.shape))
    lines = [f"// {name}: {tensor.kind.lower()} ({shape})"]
    if place is not None:
        lines.append(f"constexpr int k{name}Index = {place};")
    lines.append(f"constexpr std::size_t k{name}Count = {int(np.prod(tensor.shape))};")
    if len(tensor.scales) == 1:
        lines.append(f"constexpr float k{name}Scale = {number(tensor.scales[0])};")
        lines.append(f"constexpr int k{name}Zero = {int(tensor.zeros[0])};")
    return "\n".join(lines)


def _show(answer: Answer | None, outputs: list[str]) -> str:
    """Return the function that prints an answer."""

    def filled(template: str, output: str, **more: Any) -> str:
        return Template(template).substitute(name=_camel(output), **more)

    def listed(values: Sequence[float]) -> str:
        return ", ".join(map(number, values))

    if isinstance(answer, Shares) and answer.thresholds is None:
        label, shown, read = "kLabels[best]", "best", f"{_camel(answer.output)}(interpreter, "
        if answer.finding is not None:  # the score is that of what is looked for
            shown, threshold = str(answer.finding[0]), number(answer.finding[1])
            label = f"kLabels[{read}{shown}) >= {threshold} ? {shown} : {1 - answer.finding[0]}]"
        if answer.below is not None:
            label = f'{read}best) < {number(answer.below)} ? "unknown" : {label}'
        return filled(BEST, answer.output, label=label, shown=shown)
    if isinstance(answer, Shares):
        return filled(ABOVE, answer.output, thresholds=listed(answer.thresholds or ()))
    if isinstance(answer, Numbers):
        called, units = (", ".join(map(string, texts)) for texts in (answer.names, answer.units))
        return filled(MEASURED, answer.output, names=called, units=units)
    if isinstance(answer, Map) and answer.exclusive:
        return filled(EXCLUSIVE, answer.output)
    if isinstance(answer, Map):
        return filled(TOGETHER, answer.output, thresholds=listed(answer.thresholds))
    if isinstance(answer, Boxes):
        grids = ", ".join(f"{{{stride}, {rows}, {columns}}}" for stride, rows, columns in _grids(answer.cells))
        about = {"scores": _camel(answer.scores), "raw": _camel(answer.places), "threshold": number(answer.threshold)}
        return Template(FOUND).substitute(about, grids=grids)
    lines = "".join(filled(LISTED, output) for output in outputs)
    return f"void Show(tflite::MicroInterpreter& interpreter) {{\n{lines}}}"


def _grids(cells: np.ndarray) -> list[tuple[int, int, int]]:
    """Return stride, rows and columns of each grid of a detector, in the order of its cells."""
    found = []
    for stride in dict.fromkeys(cells[:, 2].tolist()):
        places = cells[cells[:, 2] == stride]
        found.append((int(stride), len(np.unique(places[:, 1])), len(np.unique(places[:, 0]))))
    return found
