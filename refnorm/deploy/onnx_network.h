#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <refnorm/deploy/predictor.h>

namespace refnorm::deploy {

/// An ONNX file run by OpenCV's dnn, on the CPU in float32: networks without norms, with folded or with
/// instance norms; not those with layer, group or switchable norms, for which dnn lacks operators
/// (onnxruntime runs them).
///
/// A file without refnorm's metadata runs where its graph fixes channels, height and width; assumptions()
/// then says what was taken for granted: pixels 0 … 1, and classes that are called by their numbers.
///
/// One thread at a time may use an object. Errors are UserErrors of one line naming the file; OpenCV, ONNX
/// and protobuf are kept from writing to standard error meanwhile (by their process-wide handlers, put back
/// after).
class OnnxNetwork : public Predictor {
 public:
  /// Throws UserError where the file is missing, damaged, or not to be run.
  static OnnxNetwork read(const std::filesystem::path& file);
  /// The same of a file's bytes; `origin` stands for it in errors.
  static OnnxNetwork parse(std::string_view bytes, const std::string& origin);

  OnnxNetwork(OnnxNetwork&&) noexcept;
  OnnxNetwork& operator=(OnnxNetwork&&) noexcept;
  ~OnnxNetwork() override;

  const ModelDescription& description() const override;
  std::vector<std::string> assumptions() const override;

  /// The graph's output as it is: images[count, C, H, W] -> [count, classes], both row-major.
  std::vector<float> run(const std::vector<float>& images, std::int64_t count);

  /// run(), and the logarithm where the graph ends in a softmax.
  std::vector<float> scores(const std::vector<float>& images, std::int64_t count) override;

  /// Threads of OpenCV in this process; 0: as many as there are cores.
  static void set_threads(std::int64_t threads);

 private:
  struct Loaded;
  explicit OnnxNetwork(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
};

}  // namespace refnorm::deploy
