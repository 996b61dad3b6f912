#include <exception>
#include <numeric>

#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <refnorm/base/error.h>
#include <refnorm/deploy/onnx_nodes.h>
#include <refnorm/deploy/onnx_writer.h>

namespace refnorm::deploy {
namespace {

constexpr std::int64_t kIrVersion = 8;
constexpr std::int64_t kOpset = 17;

void describe_value(onnx::ValueInfoProto& value, const std::string& name,
                    const std::vector<std::int64_t>& shape) {
  value.set_name(name);
  auto* type = value.mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("batch");
  for (const std::int64_t size : shape) type->mutable_shape()->add_dim()->set_dim_value(size);
}

void add_convolution(OnnxNodes& to, const Node& node) {
  const Window& window = node.window;
  std::vector<std::string> inputs{node.inputs[0], to.constant(node.name + ".weight", node.weight)};
  if (!node.bias.empty()) inputs.push_back(to.constant(node.name + ".bias", node.bias));
  const bool transposed = node.op == Op::kConvTranspose;
  auto& made = to.add(transposed ? "ConvTranspose" : "Conv", node.name, inputs, node.output);
  set_window(made, window);
  set_ints(made, "dilations", window.dilation);
  set_int(made, "group", window.groups);
  if (transposed) set_ints(made, "output_padding", window.output_padding);
}

void add_pool(OnnxNodes& to, const Node& node) {
  const bool max = node.op == Op::kMaxPool;
  auto& made = to.add(max ? "MaxPool" : "AveragePool", node.name, node.inputs, node.output);
  set_window(made, node.window);
  set_int(made, "ceil_mode", node.window.ceil_mode ? 1 : 0);
  if (max) {
    set_ints(made, "dilations", node.window.dilation);
  } else {
    set_int(made, "count_include_pad", 1);
  }
}

void add_linear(OnnxNodes& to, const Node& node) {
  std::vector<std::string> inputs{node.inputs[0], to.constant(node.name + ".weight", node.weight)};
  if (!node.bias.empty()) inputs.push_back(to.constant(node.name + ".bias", node.bias));
  set_int(to.add("Gemm", node.name, inputs, node.output), "transB", 1);
}

/// Of any number of axes: with mean 0, variance 1 and eps 0 it is scale · x + shift.
void add_affine(OnnxNodes& to, const Node& node) {
  const Weights none{node.weight.shape, std::vector<float>(node.weight.values.size(), 0)};
  const Weights one{node.weight.shape, std::vector<float>(node.weight.values.size(), 1)};
  auto& made = to.add("BatchNormalization", node.name,
                      {node.inputs[0], to.constant(node.name + ".scale", node.weight),
                       to.constant(node.name + ".shift", node.bias), to.constant(node.name + ".mean", none),
                       to.constant(node.name + ".var", one)},
                      node.output);
  set_float(made, "epsilon", 0);
}

void add_node(OnnxNodes& to, const Node& node) {
  switch (node.op) {
    case Op::kConv:
    case Op::kConvTranspose:
      return add_convolution(to, node);
    case Op::kLinear:
      return add_linear(to, node);
    case Op::kAffine:
      return add_affine(to, node);
    case Op::kNormalize:
      return add_normalization(to, node);
    case Op::kMaxPool:
    case Op::kAveragePool:
      return add_pool(to, node);
    case Op::kFlatten:
      set_int(to.add("Flatten", node.name, node.inputs, node.output), "axis", 1);
      return;
    case Op::kRelu:
    case Op::kAdd:
    case Op::kGlobalAveragePool:
      to.add(name_of(node.op), node.name, node.inputs, node.output);
  }
}

}  // namespace

std::string to_onnx(const Graph& graph, const ModelDescription& description,
                    const std::map<std::string, std::string>& more_metadata) {
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("refnorm");
  model.set_doc_string("Inference network; normalizations by stored statistics are folded into its layers.");
  auto* opset = model.add_opset_import();
  opset->set_domain("");
  opset->set_version(kOpset);
  std::map<std::string, std::string> metadata = to_metadata(description);
  metadata.insert(more_metadata.begin(), more_metadata.end());
  for (const auto& [key, value] : metadata) {
    auto* entry = model.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
  }
  onnx::GraphProto& proto = *model.mutable_graph();
  proto.set_name(description.model.empty() ? "network" : description.model);
  describe_value(*proto.add_input(), graph.input,
                 {description.channels, description.height, description.width});
  OnnxNodes nodes(proto);
  for (const Node& node : graph.nodes) add_node(nodes, node);
  describe_value(*proto.add_output(), graph.output, graph.nodes.back().shape);
  try {
    onnx::checker::check_model(model);
  } catch (const std::exception& error) {
    throw Error(fmt::format("the network as ONNX is not valid: {}", error.what()));
  }
  return model.SerializeAsString();
}

}  // namespace refnorm::deploy
