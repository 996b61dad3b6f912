#include <algorithm>
#include <set>
#include <string_view>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/deploy/onnx_checks.h>

namespace refnorm::deploy {
namespace {

constexpr std::int64_t kMostValues = std::int64_t{1} << 27;  // of one tensor
constexpr std::int64_t kLargestNumber = 65536;               // of a kernel's side, a stride, a padding
constexpr int kMostNodes = 100'000;

/// The operators of classifiers that OpenCV 4.6's dnn runs. It knows more, of which some read beyond the end
/// of what they are given.
constexpr std::string_view kOperators[] = {"Abs",
                                           "Add",
                                           "AveragePool",
                                           "BatchNormalization",
                                           "Cast",
                                           "Clip",
                                           "Concat",
                                           "Constant",
                                           "Conv",
                                           "Div",
                                           "Dropout",
                                           "Elu",
                                           "Exp",
                                           "Flatten",
                                           "Gemm",
                                           "GlobalAveragePool",
                                           "GlobalMaxPool",
                                           "HardSigmoid",
                                           "HardSwish",
                                           "Identity",
                                           "InstanceNormalization",
                                           "LRN",
                                           "LeakyRelu",
                                           "Log",
                                           "LogSoftmax",
                                           "MatMul",
                                           "Max",
                                           "MaxPool",
                                           "Min",
                                           "Mul",
                                           "Neg",
                                           "PRelu",
                                           "Pad",
                                           "ReduceMax",
                                           "ReduceMean",
                                           "Relu",
                                           "Reshape",
                                           "Selu",
                                           "Sigmoid",
                                           "Slice",
                                           "Softmax",
                                           "Softplus",
                                           "Split",
                                           "Sqrt",
                                           "Squeeze",
                                           "Sub",
                                           "Sum",
                                           "Tanh",
                                           "Transpose",
                                           "Unsqueeze"};

/// Bytes of one value, and how many values are listed in the field of that type.
struct Listed {
  std::int64_t bytes = 0, values = 0;
};

Listed listed(const onnx::TensorProto& tensor, const std::string& origin) {
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT:
      return {4, tensor.float_data_size()};
    case onnx::TensorProto::DOUBLE:
      return {8, tensor.double_data_size()};
    case onnx::TensorProto::INT32:
      return {4, tensor.int32_data_size()};
    case onnx::TensorProto::INT64:
      return {8, tensor.int64_data_size()};
    default:
      user_error("{}: the weight '{}' is of type {}; expected float32, float64, int32 or int64", origin,
                 printable(tensor.name()), tensor.data_type());
  }
}

/// The product, or −1 where it is too large or a size is negative.
std::int64_t count_values(const std::vector<std::int64_t>& shape) {
  std::int64_t values = 1;
  for (const std::int64_t size : shape) {
    if (size < 0 || (size > 0 && values > kMostValues / size)) return -1;
    values *= size;
  }
  return values;
}

std::vector<std::int64_t> shape_of(const onnx::TensorProto& tensor) {
  return {tensor.dims().begin(), tensor.dims().end()};
}

void check_weight(const onnx::TensorProto& tensor, const std::string& origin) {
  const std::string name = printable(tensor.name());
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL || tensor.external_data_size() > 0)
    user_error("{}: the weight '{}' lies in another file; expected one with all its data in it", origin,
               name);
  if (tensor.has_segment()) user_error("{}: the weight '{}' is a piece of one", origin, name);
  const Listed data = listed(tensor, origin);
  const std::int64_t values = count_values(shape_of(tensor));
  const bool fits = tensor.has_raw_data()
                        ? static_cast<std::int64_t>(tensor.raw_data().size()) == values * data.bytes
                        : data.values == values;
  if (values < 0 || !fits)
    user_error("{}: the weight '{}' is of [{}], and its data are of another size", origin, name,
               printable(fmt::format("{}", fmt::join(tensor.dims(), ", "))));
}

void check_numbers(const onnx::NodeProto& node, const onnx::AttributeProto& attribute,
                   const std::string& origin) {
  const std::string& name = attribute.name();
  const auto within = [&](std::int64_t least, std::int64_t number) {
    if (number >= least && number <= kLargestNumber) return;
    user_error("{}: {} has {} in its {}, expected {} to {}", origin, title_of(node), number, name, least,
               kLargestNumber);
  };
  if (name == "group" || name == "size") within(1, attribute.i());
  const bool positive = name == "kernel_shape" || name == "strides" || name == "dilations";
  const bool padding = name == "pads";
  if (!positive && !padding) return;
  const int expected = name == "pads" && node.op_type() != "Pad" ? 4 : 2;
  if (node.op_type() != "Pad" && attribute.ints_size() != expected)
    user_error("{}: {} has {} numbers in its {}, expected {} for pictures", origin, title_of(node),
               attribute.ints_size(), name, expected);
  for (const std::int64_t number : attribute.ints()) within(positive ? 1 : 0, number);
}

void check_attribute(const onnx::NodeProto& node, const onnx::AttributeProto& attribute,
                     const std::string& origin) {
  const bool graphs = attribute.has_g() || attribute.graphs_size() > 0;
  const bool others = attribute.has_sparse_tensor() || attribute.sparse_tensors_size() > 0 ||
                      attribute.tensors_size() > 0 || !attribute.ref_attr_name().empty();
  if (graphs) user_error("{}: {} has graphs within, which OpenCV's dnn does not run", origin, title_of(node));
  if (others)
    user_error("{}: {} has values of a kind that OpenCV's dnn does not read in '{}'", origin, title_of(node),
               printable(attribute.name()));
  if (attribute.has_t()) check_weight(attribute.t(), origin);
  check_numbers(node, attribute, origin);
}

}  // namespace

std::string title_of(const onnx::NodeProto& node) {
  const std::string& name = !node.name().empty() || node.output_size() == 0 ? node.name() : node.output(0);
  return fmt::format("the node '{}' ({})", printable(name), printable(node.op_type()));
}

void check_before_inference(const onnx::ModelProto& model, const std::string& origin) {
  const onnx::GraphProto& graph = model.graph();
  if (model.functions_size() > 0)
    user_error("{}: has functions of its own, which OpenCV's dnn does not run", origin);
  if (graph.sparse_initializer_size() > 0)
    user_error("{}: has sparse weights, which OpenCV's dnn does not read", origin);
  if (graph.node_size() > kMostNodes)
    user_error("{}: {} nodes, expected at most {}", origin, graph.node_size(), kMostNodes);
  std::set<std::string_view> names;
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    check_weight(tensor, origin);
    if (!names.insert(tensor.name()).second)
      user_error("{}: two weights are called '{}'", origin, printable(tensor.name()));
  }
  for (const onnx::NodeProto& node : graph.node()) {
    for (const onnx::AttributeProto& attribute : node.attribute()) check_attribute(node, attribute, origin);
    for (const std::string& name : node.output()) {
      if (!name.empty() && !names.insert(name).second)
        user_error("{}: two nodes or weights make '{}'", origin, printable(name));
    }
  }
}

void check_operators(const onnx::GraphProto& graph, const std::string& origin) {
  for (const onnx::NodeProto& node : graph.node()) {
    if (!node.domain().empty() && node.domain() != "ai.onnx")
      user_error("{}: {} is of the domain '{}', expected ONNX's own operators", origin, title_of(node),
                 printable(node.domain()));
    if (std::find(std::begin(kOperators), std::end(kOperators), node.op_type()) != std::end(kOperators))
      continue;
    user_error("{}: {} is an operator that OpenCV's dnn does not run here; onnxruntime runs it", origin,
               title_of(node));
  }
}

void check_size(const OnnxTensor& tensor, const std::string& origin) {
  if (count_values(tensor.shape) > 0) return;
  user_error("{}: '{}' is of [{}], expected 1 to {} values", origin, printable(tensor.name),
             fmt::join(tensor.shape, ", "), kMostValues);
}

}  // namespace refnorm::deploy
