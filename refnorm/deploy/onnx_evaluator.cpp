#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include <onnx/onnx_pb.h>
#include <torch/nn/functional/linear.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/deploy/onnx_evaluator.h>

namespace refnorm::deploy {
namespace {

using torch::Tensor;

const std::vector<std::string>& known_operators() {
  static const std::vector<std::string> known{"Add",
                                              "AveragePool",
                                              "BatchNormalization",
                                              "Conv",
                                              "ConvTranspose",
                                              "Div",
                                              "Flatten",
                                              "Gemm",
                                              "GlobalAveragePool",
                                              "Identity",
                                              "InstanceNormalization",
                                              "LayerNormalization",
                                              "MaxPool",
                                              "Mul",
                                              "ReduceMean",
                                              "Relu",
                                              "Reshape",
                                              "Sqrt",
                                              "Sub"};
  return known;
}

/// The values of an initializer of float32 or int64.
Tensor constant_of(const onnx::TensorProto& proto, const std::string& origin) {
  std::vector<std::int64_t> shape;
  std::int64_t values = 1;
  for (const std::int64_t size : proto.dims()) {
    if (size < 0 || (size > 0 && values > std::numeric_limits<std::int32_t>::max() / size))
      user_error("{}: initializer '{}' has an impossible shape", origin, printable(proto.name()));
    values *= size;
    shape.push_back(size);
  }
  const bool whole = proto.data_type() == onnx::TensorProto::INT64;
  if (!whole && proto.data_type() != onnx::TensorProto::FLOAT)
    user_error("{}: initializer '{}' is neither float32 nor int64", origin, printable(proto.name()));
  const Tensor tensor = torch::empty(shape, whole ? torch::kLong : torch::kFloat);
  const void* from = proto.raw_data().data();
  std::size_t bytes = proto.raw_data().size();
  if (!proto.has_raw_data()) {
    from = whole ? static_cast<const void*>(proto.int64_data().data())
                 : static_cast<const void*>(proto.float_data().data());
    bytes = whole ? sizeof(std::int64_t) * static_cast<std::size_t>(proto.int64_data_size())
                  : sizeof(float) * static_cast<std::size_t>(proto.float_data_size());
  }
  if (bytes != tensor.nbytes())
    user_error("{}: initializer '{}' has {} bytes, expected {}", origin, printable(proto.name()), bytes,
               tensor.nbytes());
  if (bytes > 0) std::memcpy(tensor.data_ptr(), from, bytes);
  return tensor;
}

/// The padding where it is the same at both ends, as LibTorch's operators have it.
std::vector<std::int64_t> padding_of(const std::vector<std::int64_t>& pads, const std::string& name) {
  const std::size_t axes = pads.size() / 2;
  if (!std::equal(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(axes),
                  pads.begin() + static_cast<std::ptrdiff_t>(axes)))
    user_error("node '{}': different pads at the two ends are not known here", name);
  return {pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(axes)};
}

Tensor along_channels(const Tensor& values, const Tensor& x) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[1] = values.numel();
  return values.reshape(shape);
}

/// A 0 in an ONNX shape stands for the input's size there.
Tensor reshaped(const Tensor& x, const Tensor& to) {
  std::vector<std::int64_t> shape(to.data_ptr<std::int64_t>(), to.data_ptr<std::int64_t>() + to.numel());
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) shape[i] = x.size(static_cast<std::int64_t>(i));
  }
  return x.reshape(shape);
}

}  // namespace

std::vector<std::int64_t> OnnxEvaluator::Step::list(const std::string& attribute,
                                                    std::vector<std::int64_t> otherwise) const {
  const auto found = ints.find(attribute);
  return found == ints.end() ? std::move(otherwise) : found->second;
}

std::int64_t OnnxEvaluator::Step::number(const std::string& attribute, std::int64_t otherwise) const {
  return list(attribute, {otherwise}).at(0);
}

double OnnxEvaluator::Step::real(const std::string& attribute, double otherwise) const {
  const auto found = floats.find(attribute);
  return found == floats.end() ? otherwise : found->second;
}

OnnxEvaluator::OnnxEvaluator(std::string_view bytes, const std::string& origin) : origin_(origin) {
  onnx::ModelProto model;
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !model.has_graph())
    user_error("{}: is not an ONNX file", origin);
  for (const auto& entry : model.metadata_props()) metadata_[entry.key()] = entry.value();
  const onnx::GraphProto& graph = model.graph();
  for (const auto& constant : graph.initializer())
    constants_[constant.name()] = constant_of(constant, origin);
  for (const auto& input : graph.input()) {
    if (constants_.count(input.name()) == 0) input_ = input.name();
  }
  if (graph.output_size() == 0 || input_.empty()) user_error("{}: has no input or no output", origin);
  output_ = graph.output(0).name();
  for (const auto& node : graph.node()) {
    const auto& known = known_operators();
    if (std::find(known.begin(), known.end(), node.op_type()) == known.end() || node.output_size() != 1)
      user_error("{}: node '{}' is a {}, which is not known here; known are: {}", origin,
                 printable(node.name()), printable(node.op_type()), fmt::join(known, ", "));
    Step step{node.op_type(), node.name(), {node.input().begin(), node.input().end()},
              node.output(0), {},          {}};
    for (const auto& attribute : node.attribute()) {
      if (attribute.type() == onnx::AttributeProto::INT) step.ints[attribute.name()] = {attribute.i()};
      if (attribute.type() == onnx::AttributeProto::INTS)
        step.ints[attribute.name()] = {attribute.ints().begin(), attribute.ints().end()};
      if (attribute.type() == onnx::AttributeProto::FLOAT)
        step.floats[attribute.name()] = static_cast<double>(attribute.f());
    }
    steps_.push_back(std::move(step));
  }
}

Tensor OnnxEvaluator::operator()(const Tensor& images) const {
  const torch::NoGradGuard no_grad;
  Values values{{input_, images}};
  for (const Step& step : steps_) {
    try {
      values[step.output] = compute(step, values);
    } catch (const UserError&) {
      throw;
    } catch (const std::out_of_range&) {
      user_error("{}: node '{}' ({}) has too few inputs or an empty attribute", origin_, printable(step.name),
                 step.op);
    } catch (const std::exception& error) {  // LibTorch throws more than c10::Error
      const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
      const std::string what = of_torch != nullptr ? of_torch->what_without_backtrace() : error.what();
      user_error("{}: node '{}' ({}) cannot be computed: {}", origin_, printable(step.name), step.op,
                 printable(what.substr(0, what.find('\n')), 200));
    }
  }
  const auto found = values.find(output_);
  if (found == values.end()) user_error("{}: no node gives the output '{}'", origin_, output_);
  return found->second;
}

Tensor OnnxEvaluator::convolution(const Step& step, const std::vector<Tensor>& in) {
  if (in.at(1).dim() < 3) user_error("node '{}': a weight of {} axes", printable(step.name), in[1].dim());
  const auto axes = static_cast<std::size_t>(in.at(1).dim() - 2);
  const std::vector<std::int64_t> ones(axes, 1);
  const std::vector<std::int64_t> zeros(axes, 0);
  return torch::_convolution(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), step.list("strides", ones),
                             padding_of(step.list("pads", std::vector<std::int64_t>(2 * axes, 0)), step.name),
                             step.list("dilations", ones), step.op == "ConvTranspose",
                             step.list("output_padding", zeros), step.number("group", 1), false, false, true,
                             true);
}

Tensor OnnxEvaluator::pool(const Step& step, const Tensor& x) {
  const std::vector<std::int64_t> kernel = step.list("kernel_shape", {});
  const std::vector<std::int64_t> stride = step.list("strides", {1, 1});
  const std::vector<std::int64_t> padding = padding_of(step.list("pads", {0, 0, 0, 0}), step.name);
  const bool ceil_mode = step.number("ceil_mode", 0) != 0;
  if (step.op == "MaxPool")
    return torch::max_pool2d(x, kernel, stride, padding, step.list("dilations", {1, 1}), ceil_mode);
  return torch::avg_pool2d(x, kernel, stride, padding, ceil_mode, step.number("count_include_pad", 0) != 0);
}

Tensor OnnxEvaluator::compute(const Step& step, const Values& values) const {
  std::vector<Tensor> in;
  for (const std::string& name : step.inputs) {
    const auto value = values.find(name);
    const auto constant = constants_.find(name);
    if (value == values.end() && constant == constants_.end())
      user_error("{}: node '{}' reads '{}', which no node before gives", origin_, step.name, name);
    in.push_back(value != values.end() ? value->second : constant->second);
  }
  const std::string& op = step.op;
  const auto& x = in.at(0);
  if (op == "Conv" || op == "ConvTranspose") return convolution(step, in);
  if (op == "MaxPool" || op == "AveragePool") return pool(step, x);
  if (op == "Gemm") {
    const Tensor weight = step.number("transB", 0) != 0 ? in.at(1) : in.at(1).t();
    return torch::nn::functional::linear(x, weight, in.size() > 2 ? in[2] : Tensor());
  }
  if (op == "Relu") return torch::relu(x);
  if (op == "Identity") return x;
  if (op == "Sqrt") return x.sqrt();
  if (op == "Add") return x + in.at(1);
  if (op == "Sub") return x - in.at(1);
  if (op == "Mul") return x * in.at(1);
  if (op == "Div") return x / in.at(1);
  if (op == "GlobalAveragePool") return torch::adaptive_avg_pool2d(x, {1, 1});
  if (op == "Flatten") return x.flatten(step.number("axis", 1));
  if (op == "Reshape") return reshaped(x, in.at(1));
  if (op == "ReduceMean") return x.mean(step.list("axes", {}), step.number("keepdims", 1) != 0);
  if (op == "InstanceNormalization")
    return torch::instance_norm(x, in.at(1), in.at(2), {}, {}, true, 0, step.real("epsilon", 1e-5), false);
  if (op == "LayerNormalization")
    return torch::layer_norm(x, in.at(1).sizes(), in.at(1), in.size() > 2 ? in[2] : Tensor(),
                             step.real("epsilon", 1e-5));
  const Tensor scale = in.at(1) / (in.at(4) + step.real("epsilon", 1e-5)).sqrt();
  return (x - along_channels(in.at(3), x)) * along_channels(scale, x) + along_channels(in.at(2), x);
}

}  // namespace refnorm::deploy
