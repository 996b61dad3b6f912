#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace refnorm::deploy {

/// A tensor that goes into a graph or comes out of it.
struct OnnxTensor {
  std::string name;
  std::vector<std::int64_t> shape;  ///< −1 where it is left open
};

/// An ONNX file that has passed all checks.
struct OnnxModel {
  OnnxTensor input;   ///< float32 [N, C, H, W] as the file declares it
  OnnxTensor output;  ///< float32 [N, classes] for `batch` samples
  std::int64_t
      batch;  ///< samples that the graph in `bytes` takes at a time: the file's number, 1 where it is open
  bool probabilities;  ///< the output is a softmax
  std::map<std::string, std::string> metadata;
  std::string
      bytes;  ///< the model serialized again, of `batch` samples and without what running it needs not
};

/// Reads and checks a model of one input and one output (of several outputs the one that the metadata name as
/// refnorm.output): ONNX's own checker, sizes of all tensors, weights against the layers that use them,
/// operators against those that OpenCV's dnn runs. Data outside the file, subgraphs (If, Loop, Scan) and
/// functions are refused. Throws UserError of one line naming `origin`; memory taken is bounded by a multiple
/// of the bytes.
OnnxModel parse_onnx(std::string_view bytes, const std::string& origin);

}  // namespace refnorm::deploy
