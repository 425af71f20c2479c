"""The least of TensorFlow Lite Micro's headers that our C++ uses: the package for Python brings none.

The interpreter in them computes nothing. It writes what it was given to `given.bin`, and reads what it answers, output after
output, from `answers.bin`, in the folder where the program runs. So a test sees what the program does before and after a model.
"""

from cnnkit.export import tflm

COMMON = """
#pragma once
#include <cstddef>
#include <cstdint>
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
struct TfLiteTensor { union { std::int8_t* int8; std::int32_t* i32; void* data; } data; std::size_t bytes; };
#define TF_LITE_ENSURE_STATUS(a) do { const TfLiteStatus s = (a); if (s != kTfLiteOk) return s; } while (false)
"""

RESOLVER = """
#pragma once
#include "tensorflow/lite/c/common.h"
namespace tflite {
template <unsigned int n> class MicroMutableOpResolver {
 public:
  unsigned int left() const { return n - used; }
%s
 private:
  TfLiteStatus Add() { return used++ < n ? kTfLiteOk : kTfLiteError; }
  unsigned int used = 0;
};
}  // namespace tflite
"""

INTERPRETER = """
#pragma once
#include <cstdio>
#include <cstdint>
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/schema/schema_generated.h"
namespace tflite {
class MicroInterpreter {
 public:
  template <typename Resolver>
  MicroInterpreter(const Model*, const Resolver& resolver, std::uint8_t* arena, std::size_t bytes)
      : whole(resolver.left() == 0 && reinterpret_cast<std::uintptr_t>(arena) % 16 == 0 && bytes % 16 == 0) {}
  TfLiteStatus AllocateTensors() {
    in.data.data = given, in.bytes = sizeof(given);
    return whole ? kTfLiteOk : kTfLiteError;
  }
  TfLiteTensor* input(std::size_t) { return &in; }
  TfLiteTensor* output(std::size_t i) { return &out[i]; }
  TfLiteStatus Invoke() {
    std::FILE* file = std::fopen("given.bin", "wb");
    std::fwrite(given, 1, sizeof(given), file);
    std::fclose(file);
    file = std::fopen("answers.bin", "rb");
    std::size_t sizes[4] = {}, at = 0;
    if (std::fread(sizes, sizeof(sizes), 1, file) != 1) return kTfLiteError;
    for (int i = 0; i < 4; ++i) out[i].data.int8 = answers + at, at += sizes[i];
    const std::size_t read = std::fread(answers, 1, sizeof(answers), file);
    std::fclose(file);
    return read == at ? kTfLiteOk : kTfLiteError;
  }
 private:
  bool whole;
  std::int32_t given[1 << 14] = {};
  std::int8_t answers[1 << 16] = {};
  TfLiteTensor in = {}, out[4] = {};
};
}  // namespace tflite
"""

SCHEMA = """
#pragma once
#define TFLITE_SCHEMA_VERSION (3)
namespace tflite {
struct Model { unsigned version() const { return TFLITE_SCHEMA_VERSION; } };
inline const Model* GetModel(const void* bytes) { return static_cast<const Model*>(bytes); }
}  // namespace tflite
"""


def write(folder):
    """Write the headers into a folder, and return it."""
    methods = [tflm.method(operator) for operator in sorted(tflm.OPERATORS)] + ["AddEthosU"]
    added = "\n".join(f"  TfLiteStatus {method}() {{ return Add(); }}" for method in methods)
    files = {
        "c/common.h": COMMON,
        "micro/micro_mutable_op_resolver.h": RESOLVER % added,
        "micro/micro_interpreter.h": INTERPRETER,
        "micro/system_setup.h": "#pragma once\nnamespace tflite { inline void InitializeTarget() {} }\n",
        "schema/schema_generated.h": SCHEMA,
    }
    for name, text in files.items():
        path = folder / "tensorflow" / "lite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
