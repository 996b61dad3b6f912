#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <onnx/onnx_pb.h>

namespace refnorm::testing {

/// An ONNX model in the making: float32 images[N, …] -> scores.
class OnnxFile {
 public:
  using Shape = std::vector<std::int64_t>;

  explicit OnnxFile(const Shape& images = {-1, 1, 4, 4}, const Shape& scores = {-1, 2}) {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(13);
    graph().set_name("test");
    declare(*graph().add_input(), "images", images);
    declare(*graph().add_output(), "scores", scores);
  }

  onnx::GraphProto& graph() { return *model.mutable_graph(); }
  onnx::NodeProto& last() { return *graph().mutable_node(graph().node_size() - 1); }

  OnnxFile& weight(const std::string& name, const Shape& shape, const std::vector<float>& values) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t size : shape) tensor.add_dims(size);
    for (const float value : values) tensor.add_float_data(value);
    return *this;
  }

  OnnxFile& numbers(const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values) tensor.add_int64_data(value);
    return *this;
  }

  /// Named after its output, with "n_" in front.
  OnnxFile& node(const std::string& kind, const std::vector<std::string>& inputs, const std::string& output) {
    onnx::NodeProto& node = *graph().add_node();
    node.set_op_type(kind);
    node.set_name("n_" + output);
    for (const std::string& input : inputs) node.add_input(input);
    node.add_output(output);
    return *this;
  }

  /// Attributes of the last node.
  OnnxFile& with(const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::AttributeProto& attribute = *last().add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) attribute.add_ints(value);
    return *this;
  }
  OnnxFile& with(const std::string& name, std::int64_t value) {
    onnx::AttributeProto& attribute = *last().add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(value);
    return *this;
  }
  OnnxFile& with(const std::string& name, float value) {
    onnx::AttributeProto& attribute = *last().add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::FLOAT);
    attribute.set_f(value);
    return *this;
  }

  OnnxFile& metadata(const std::map<std::string, std::string>& entries) {
    for (const auto& [key, value] : entries) {
      onnx::StringStringEntryProto& entry = *model.add_metadata_props();
      entry.set_key(key);
      entry.set_value(value);
    }
    return *this;
  }

  std::string bytes() const { return model.SerializeAsString(); }

  /// −1: an open axis.
  static void declare(onnx::ValueInfoProto& value, const std::string& name, const Shape& shape) {
    value.set_name(name);
    auto& type = *value.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    type.clear_shape();
    type.mutable_shape();
    for (const std::int64_t size : shape) {
      auto& axis = *type.mutable_shape()->add_dim();
      if (size >= 0) axis.set_dim_value(size);
      if (size < 0) axis.set_dim_param("N");
    }
  }

  onnx::ModelProto model;
};

/// `count` numbers from −1 to 1 that look like noise and are always the same.
inline std::vector<float> noise(std::int64_t count, std::uint32_t seed) {
  std::vector<float> values;
  std::uint32_t state = seed * 2654435761U + 1;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    values.push_back(static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1);
  }
  return values;
}

/// images[N, 1, 28, 28] -> 10 scores: two convolutions with ReLU and pooling, two dense layers, weights of
/// noise.
inline OnnxFile small_network(std::int64_t batch = -1) {
  OnnxFile file({batch, 1, 28, 28}, {batch, 10});
  file.weight("conv1.weight", {3, 1, 5, 5}, noise(75, 1)).weight("conv1.bias", {3}, noise(3, 2));
  file.weight("conv2.weight", {4, 3, 3, 3}, noise(108, 3)).weight("conv2.bias", {4}, noise(4, 4));
  file.weight("fc1.weight", {12, 144}, noise(12 * 144, 5)).weight("fc1.bias", {12}, noise(12, 6));
  file.weight("fc2.weight", {10, 12}, noise(120, 7)).weight("fc2.bias", {10}, noise(10, 8));
  file.node("Conv", {"images", "conv1.weight", "conv1.bias"}, "conv1").with("pads", {2, 2, 2, 2});
  file.node("Relu", {"conv1"}, "relu1");
  file.node("MaxPool", {"relu1"}, "pool1").with("kernel_shape", {2, 2}).with("strides", {2, 2});
  file.node("Conv", {"pool1", "conv2.weight", "conv2.bias"}, "conv2").with("strides", {2, 2});
  file.node("Relu", {"conv2"}, "relu2");
  file.node("Flatten", {"relu2"}, "flat");
  file.node("Gemm", {"flat", "fc1.weight", "fc1.bias"}, "fc1").with("transB", std::int64_t{1});
  file.node("Relu", {"fc1"}, "relu3");
  file.node("Gemm", {"relu3", "fc2.weight", "fc2.bias"}, "scores").with("transB", std::int64_t{1});
  return file;
}

}  // namespace refnorm::testing
