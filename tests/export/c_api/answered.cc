// Answers in place of the C API: hands each prepared input to the test that started the program, which runs the real interpreter.
// ASK and REPLY are its ends of two pipes, GIVEN the type of the input and its numbers, FOUND the outputs and theirs.
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/lite/c/c_api.h"

struct TfLiteTensor {
  std::string name;
  TfLiteType type;
  std::vector<char> data;
};
struct TfLiteModel {};
struct TfLiteInterpreterOptions {};
struct TfLiteInterpreter {};
struct TfLiteSignatureRunner {
  TfLiteTensor input;
  std::vector<TfLiteTensor> outputs;
};

static void whole(bool reading, const char* end, std::vector<char>& data) {
  for (size_t done = 0; done < data.size();) {
    const int file = std::atoi(std::getenv(end));
    const ssize_t some = reading ? read(file, data.data() + done, data.size() - done) : write(file, data.data() + done, data.size() - done);
    if (some <= 0) std::abort();
    done += static_cast<size_t>(some);
  }
}

TfLiteModel* TfLiteModelCreateFromFile(const char* path) { return access(path, R_OK) ? nullptr : new TfLiteModel; }
void TfLiteModelDelete(TfLiteModel* model) { delete model; }
TfLiteInterpreterOptions* TfLiteInterpreterOptionsCreate(void) { return new TfLiteInterpreterOptions; }
void TfLiteInterpreterOptionsDelete(TfLiteInterpreterOptions* options) { delete options; }
TfLiteInterpreter* TfLiteInterpreterCreate(const TfLiteModel*, const TfLiteInterpreterOptions*) { return new TfLiteInterpreter; }
void TfLiteInterpreterDelete(TfLiteInterpreter* interpreter) { delete interpreter; }
TfLiteSignatureRunner* TfLiteInterpreterGetSignatureRunner(const TfLiteInterpreter*, const char* key) {
  if (std::string(key) != "serving_default") return nullptr;
  auto* runner = new TfLiteSignatureRunner;
  std::istringstream given(std::getenv("GIVEN")), found(std::getenv("FOUND"));
  size_t count;
  given >> runner->input.name >> count;
  const bool bytes = runner->input.name == "uint8";
  runner->input.type = bytes ? kTfLiteUInt8 : runner->input.name == "int32" ? kTfLiteInt32 : kTfLiteFloat32;
  runner->input.data.resize(bytes ? count : 4 * count);
  for (std::string name; found >> name >> count;) runner->outputs.push_back({name, kTfLiteFloat32, std::vector<char>(4 * count)});
  return runner;
}
void TfLiteSignatureRunnerDelete(TfLiteSignatureRunner* runner) { delete runner; }
const char* TfLiteSignatureRunnerGetInputName(const TfLiteSignatureRunner* runner, int32_t) { return runner->input.name.c_str(); }
TfLiteTensor* TfLiteSignatureRunnerGetInputTensor(TfLiteSignatureRunner* runner, const char*) { return &runner->input; }
TfLiteStatus TfLiteSignatureRunnerAllocateTensors(TfLiteSignatureRunner*) { return kTfLiteOk; }
TfLiteStatus TfLiteSignatureRunnerInvoke(TfLiteSignatureRunner* runner) {
  whole(false, "ASK", runner->input.data);
  for (auto& output : runner->outputs) whole(true, "REPLY", output.data);
  return kTfLiteOk;
}
size_t TfLiteSignatureRunnerGetOutputCount(const TfLiteSignatureRunner* runner) { return runner->outputs.size(); }
const char* TfLiteSignatureRunnerGetOutputName(const TfLiteSignatureRunner* runner, int32_t index) {
  return runner->outputs[static_cast<size_t>(index)].name.c_str();
}
const TfLiteTensor* TfLiteSignatureRunnerGetOutputTensor(const TfLiteSignatureRunner* runner, const char* name) {
  for (const auto& output : runner->outputs) {
    if (output.name == name) return &output;
  }
  return nullptr;
}
TfLiteType TfLiteTensorType(const TfLiteTensor* tensor) { return tensor->type; }
size_t TfLiteTensorByteSize(const TfLiteTensor* tensor) { return tensor->data.size(); }
void* TfLiteTensorData(const TfLiteTensor* tensor) { return const_cast<char*>(tensor->data.data()); }
TfLiteQuantizationParams TfLiteTensorQuantizationParams(const TfLiteTensor* tensor) { return {tensor->type == kTfLiteUInt8 ? 1.0F : 0.0F, 0}; }
