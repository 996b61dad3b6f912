#pragma once

#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

#include <refnorm/deploy/graph.h>

namespace refnorm::deploy {

/// Adds nodes and constants to an ONNX graph.
class OnnxNodes {
 public:
  explicit OnnxNodes(onnx::GraphProto& graph) : graph_(graph) {}

  onnx::NodeProto& add(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                       const std::string& output);
  /// As an initializer; returns the name.
  std::string constant(const std::string& name, const Weights& values);
  std::string constant(const std::string& name, const std::vector<std::int64_t>& values);

 private:
  onnx::GraphProto& graph_;
};

void set_int(onnx::NodeProto& node, const std::string& name, std::int64_t value);
void set_float(onnx::NodeProto& node, const std::string& name, double value);
void set_ints(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values);
/// kernel_shape, strides and pads, the same at both ends.
void set_window(onnx::NodeProto& node, const Window& window);

/// A norm by statistics of each sample, as standard operators.
void add_normalization(OnnxNodes& to, const Node& node);

}  // namespace refnorm::deploy
