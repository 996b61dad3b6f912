#include <cstring>
#include <set>

#include <onnx/defs/schema.h>

#include <refnorm/deploy/onnx_checks.h>

namespace refnorm::deploy {
namespace {

using Weights = std::map<std::string, const onnx::TensorProto*>;

/// The values of a weight of that type, from whichever field they are in.
template <class Value, class Field>
std::vector<Value> values_of(const onnx::TensorProto& tensor, const Field& field) {
  std::vector<Value> values(field.begin(), field.end());
  if (!tensor.has_raw_data()) return values;
  values.resize(tensor.raw_data().size() / sizeof(Value));
  std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(Value));
  return values;
}

bool has_attribute(const onnx::NodeProto& node, const std::string& name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return true;
  }
  return false;
}

onnx::AttributeProto& add_attribute(onnx::NodeProto& node, const std::string& name,
                                    onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

void fill_defaults(onnx::NodeProto& node, const Weights& weights, int opset) {
  const onnx::OpSchema* schema = onnx::OpSchemaRegistry::Schema(node.op_type(), opset);
  if (schema == nullptr) return;
  for (const auto& [name, attribute] : schema->attributes()) {
    const onnx::AttributeProto& value = attribute.default_value;
    if (value.type() == onnx::AttributeProto::FLOAT && value.has_f() && !has_attribute(node, name))
      *node.add_attribute() = value;
  }
  if (node.op_type() != "Conv" || has_attribute(node, "kernel_shape")) return;
  const auto weight = weights.find(node.input(1));
  if (weight == weights.end()) return;
  onnx::AttributeProto& sides = add_attribute(node, "kernel_shape", onnx::AttributeProto::INTS);
  for (const int axis : {2, 3}) sides.add_ints(weight->second->dims(axis));
}

/// Clip's bounds: numbers, each of which may be missing.
void move_bounds(onnx::NodeProto& node, const Weights& weights) {
  for (int i = 1; i < node.input_size(); ++i) {
    if (node.input(i).empty()) continue;
    const auto weight = weights.find(node.input(i));
    if (weight == weights.end() || weight->second->data_type() != onnx::TensorProto::FLOAT) return;
    const auto values = values_of<float>(*weight->second, weight->second->float_data());
    if (values.size() != 1) return;
    add_attribute(node, i == 1 ? "min" : "max", onnx::AttributeProto::FLOAT).set_f(values[0]);
  }
  node.mutable_input()->DeleteSubrange(1, node.input_size() - 1);
}

/// The axes of Squeeze and Unsqueeze, the parts of Split.
void move_numbers(onnx::NodeProto& node, const Weights& weights) {
  const auto weight = weights.find(node.input(1));
  if (weight == weights.end() || weight->second->data_type() != onnx::TensorProto::INT64) return;
  const char* name = node.op_type() == "Split" ? "split" : "axes";
  onnx::AttributeProto& numbers = add_attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t number : values_of<std::int64_t>(*weight->second, weight->second->int64_data()))
    numbers.add_ints(number);
  node.mutable_input()->RemoveLast();
}

}  // namespace

void write_for_dnn(onnx::GraphProto& graph, int opset) {
  Weights weights;
  for (const onnx::TensorProto& tensor : graph.initializer()) weights[tensor.name()] = &tensor;
  for (const onnx::NodeProto& node : graph.node()) {
    // Exporters write small numbers as nodes of their own.
    if (node.op_type() != "Constant") continue;
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_t()) weights[node.output(0)] = &attribute.t();
    }
  }
  std::set<std::string> names;
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    // dnn takes no two layers of one name; without a name it calls them after their outputs.
    if (!node.name().empty() && !names.insert(node.name()).second) node.clear_name();
    fill_defaults(node, weights, opset);
    const std::string& kind = node.op_type();
    if (kind == "Clip" && node.input_size() > 1) move_bounds(node, weights);
    if ((kind == "Squeeze" || kind == "Unsqueeze" || kind == "Split") && node.input_size() == 2)
      move_numbers(node, weights);
  }
}

}  // namespace refnorm::deploy
