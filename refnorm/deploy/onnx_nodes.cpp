#include <refnorm/deploy/onnx_nodes.h>

namespace refnorm::deploy {

onnx::NodeProto& OnnxNodes::add(const std::string& op, const std::string& name,
                                const std::vector<std::string>& inputs, const std::string& output) {
  onnx::NodeProto& node = *graph_.add_node();
  node.set_op_type(op);
  node.set_name(name);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(output);
  return node;
}

std::string OnnxNodes::constant(const std::string& name, const Weights& values) {
  onnx::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t size : values.shape) tensor.add_dims(size);
  // Little-endian float32, as this machine has it.
  tensor.set_raw_data(values.values.data(), values.values.size() * sizeof(float));
  return name;
}

std::string OnnxNodes::constant(const std::string& name, const std::vector<std::int64_t>& values) {
  onnx::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<std::int64_t>(values.size()));
  tensor.set_raw_data(values.data(), values.size() * sizeof(std::int64_t));
  return name;
}

void set_int(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}

void set_float(onnx::NodeProto& node, const std::string& name, double value) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::FLOAT);
  attribute->set_f(static_cast<float>(value));
}

void set_ints(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute->add_ints(value);
}

void set_window(onnx::NodeProto& node, const Window& window) {
  set_ints(node, "kernel_shape", window.kernel);
  set_ints(node, "strides", window.stride);
  std::vector<std::int64_t> pads = window.padding;
  pads.insert(pads.end(), window.padding.begin(), window.padding.end());
  set_ints(node, "pads", pads);
}

}  // namespace refnorm::deploy
