#include <algorithm>
#include <cmath>
#include <numeric>

#include <torch/csrc/jit/ir/constants.h>
#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/deploy/trace_call.h>
#include <refnorm/deploy/trace_operators.h>

namespace refnorm::deploy {

using torch::Tensor;

void LayerNames::add(const Tensor& tensor, const std::string& key) {
  if (!tensor.defined() || tensor.numel() == 0) return;
  const auto dot = key.rfind('.');
  layers_[tensor.data_ptr()] = dot == std::string::npos ? key : key.substr(0, dot);
}

std::string LayerNames::find(const Tensor& tensor) const {
  if (!tensor.defined() || tensor.numel() == 0) return {};
  const auto found = layers_.find(tensor.data_ptr());
  return found == layers_.end() ? std::string() : found->second;
}

GraphBuilder::GraphBuilder(LayerNames names) : names_(std::move(names)) {}

const std::map<std::string, GraphBuilder::Translate>& GraphBuilder::translations() {
  static const std::map<std::string, Translate> known{
      {"aten::_convolution", &GraphBuilder::convolution},
      {"aten::linear", &GraphBuilder::linear},
      {"aten::addmm", &GraphBuilder::addmm},
      {"refnorm::normalize", &GraphBuilder::normalize},
      {"aten::batch_norm", &GraphBuilder::batch_norm},
      {"aten::group_norm", &GraphBuilder::group_norm},
      {"aten::instance_norm", &GraphBuilder::instance_norm},
      {"aten::relu", &GraphBuilder::relu},
      {"aten::relu_", &GraphBuilder::relu},
      {"aten::add", &GraphBuilder::plus},
      {"aten::add_", &GraphBuilder::plus},
      {"aten::max_pool2d", &GraphBuilder::max_pool},
      {"aten::avg_pool2d", &GraphBuilder::average_pool},
      {"aten::adaptive_avg_pool2d", &GraphBuilder::global_average_pool},
      {"aten::mean", &GraphBuilder::mean},
      {"aten::flatten", &GraphBuilder::flatten},
      {"aten::view", &GraphBuilder::view},
      {"aten::reshape", &GraphBuilder::view},
      {"aten::contiguous", &GraphBuilder::pass_on},
      {"aten::detach", &GraphBuilder::pass_on},
      {"aten::dropout", &GraphBuilder::dropout},
      {"aten::feature_dropout", &GraphBuilder::dropout},
  };
  return known;
}

void GraphBuilder::input(const torch::jit::Value* value, const Tensor& example) {
  (void)example;
  values_[value] = graph_.input;
}

void GraphBuilder::add(const torch::jit::Node& node) {
  const std::string kind = node.kind().toQualString();
  if (kind == "prim::Constant" || kind == "prim::ListConstruct") return;
  const Call call(node, values_);
  const auto known = translations().find(kind);
  if (known == translations().end()) {
    std::vector<std::string> names;
    for (const auto& [name, translate] : translations()) names.push_back(name);
    user_error("the network uses '{}'{}, which cannot be exported; known are: {}", kind,
               graph_.nodes.empty() ? "" : fmt::format(" behind layer '{}'", graph_.nodes.back().name),
               fmt::join(names, ", "));
  }
  (this->*known->second)(call);
}

Graph GraphBuilder::finish(const torch::jit::Value* output) {
  const auto found = values_.find(output);
  if (found == values_.end() || graph_.nodes.empty())
    user_error("the network's output does not depend on its input");
  const std::string last = found->second;
  for (Node& node : graph_.nodes) {
    if (node.output == last) node.output = graph_.output;
    for (std::string& value : node.inputs) {
      if (value == last) value = graph_.output;
    }
  }
  return std::move(graph_);
}

std::string GraphBuilder::unique(const std::string& wish) {
  const int before = used_[wish]++;
  return before == 0 ? wish : fmt::format("{}_{}", wish, before + 1);
}

Node& GraphBuilder::make(Op op, const std::string& layer, std::vector<std::string> inputs,
                         std::vector<std::int64_t> shape) {
  Node node;
  node.op = op;
  node.name = unique(layer.empty() ? name_of(op) : layer);
  node.inputs = std::move(inputs);
  node.output = node.name + ".out";
  node.shape = std::move(shape);
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back();
}

Node& GraphBuilder::make(const Call& call, Op op, const std::string& layer) {
  Node& node = make(op, layer, {call.value(0)}, call.shape());
  give(call);
  return node;
}

void GraphBuilder::give(const Call& call) {
  values_[call.output()] = graph_.nodes.back().output;
}

void GraphBuilder::convolution(const Call& call) {
  const bool transposed = call.boolean(6);
  Node& node = make(call, transposed ? Op::kConvTranspose : Op::kConv, names_.find(call.tensor(1)));
  node.weight = to_weights(call.tensor(1));
  if (call.has(2)) node.bias = to_weights(call.tensor(2));
  const std::size_t axes = node.weight.shape.size() - 2;
  node.window.kernel.assign(node.weight.shape.begin() + 2, node.weight.shape.end());
  node.window.stride = call.numbers(3, axes);
  node.window.padding = call.numbers(4, axes);
  node.window.dilation = call.numbers(5, axes);
  node.window.output_padding = call.numbers(7, axes);
  node.window.groups = call.number(8);
}

void GraphBuilder::linear(const Call& call) {
  Node& node = make(call, Op::kLinear, names_.find(call.tensor(1)));
  node.weight = to_weights(call.tensor(1));
  if (call.has(2)) node.bias = to_weights(call.tensor(2));
}

/// beta · bias + alpha · x W, with W[in, out] as LibTorch's dense layer hands it on.
void GraphBuilder::addmm(const Call& call) {
  Node& node = make(Op::kLinear, names_.find(call.tensor(2)), {call.value(1)}, call.shape());
  give(call);
  node.weight = to_weights(call.tensor(2).t() * call.real(4));
  node.bias = to_weights((call.tensor(0) * call.real(3)).expand({node.weight.shape[0]}));
}

void GraphBuilder::affine(const Call& call, const std::string& layer, const std::vector<double>& scale,
                          const std::vector<double>& shift) {
  Node& node = make(call, Op::kAffine, layer);
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(scale.size())};
  node.weight = {shape, {scale.begin(), scale.end()}};
  node.bias = {shape, {shift.begin(), shift.end()}};
}

void GraphBuilder::normalize(const Call& call) {
  const NormalizeCall norm(call);
  std::string layer = names_.find(norm.weight);
  if (layer.empty()) layer = names_.find(norm.stored_mean);
  if (layer.empty()) layer = "norm";
  norm.check(layer);
  if (norm.is_affine()) {
    const auto [scale, shift] = norm.affine_map();
    affine(call, layer, scale, shift);
  } else {
    Node& node = make(call, Op::kNormalize, layer);
    node.blend = norm.blend();
    if (norm.weight.defined()) node.weight = to_weights(norm.weight);
    if (norm.bias.defined()) node.bias = to_weights(norm.bias);
  }
  if (call.has(3)) {
    make(Op::kAdd, layer + ".add", {graph_.nodes.back().output, call.value(3)}, call.shape());
    give(call);
  }
  if (norm.relu) {
    make(Op::kRelu, layer + ".relu", {graph_.nodes.back().output}, call.shape());
    give(call);
  }
}

void GraphBuilder::batch_norm(const Call& call) {
  if (call.boolean(5) || !call.has(3) || !call.has(4))
    user_error("layer '{}' normalizes by the statistics of the batch, which an exported file has not",
               names_.find(call.tensor_or_none(1)));
  const Tensor mean = call.tensor(3).to(torch::kDouble);
  const Tensor deviation = (call.tensor(4).to(torch::kDouble) + call.real(7)).sqrt();
  const Tensor scale = call.has(1) ? call.tensor(1).to(torch::kDouble) / deviation : 1 / deviation;
  const Tensor shift =
      (call.has(2) ? call.tensor(2).to(torch::kDouble) : torch::zeros_like(mean)) - mean * scale;
  affine(call, names_.find(call.tensor(3)), to_doubles(scale), to_doubles(shift));
}

void GraphBuilder::group_norm(const Call& call) {
  Node& node = make(call, Op::kNormalize, names_.find(call.tensor_or_none(2)));
  node.blend = {{call.shape().at(0) / call.number(1)}, {}, {}, {1}, {1}, false, call.real(4)};
  if (call.has(2)) node.weight = to_weights(call.tensor(2));
  if (call.has(3)) node.bias = to_weights(call.tensor(3));
}

void GraphBuilder::instance_norm(const Call& call) {
  if (!call.boolean(5))
    user_error("layer '{}': instance normalization by running statistics cannot be exported",
               names_.find(call.tensor_or_none(1)));
  Node& node = make(call, Op::kNormalize, names_.find(call.tensor_or_none(1)));
  node.blend = {{1}, {}, {}, {1}, {1}, false, call.real(7)};
  if (call.has(1)) node.weight = to_weights(call.tensor(1));
  if (call.has(2)) node.bias = to_weights(call.tensor(2));
}

void GraphBuilder::relu(const Call& call) {
  make(call, Op::kRelu, "");
}

void GraphBuilder::plus(const Call& call) {
  if (call.real(2) != 1 || call.shape_of(0) != call.shape_of(1))
    user_error("'aten::add' of other than two tensors of one shape cannot be exported");
  make(Op::kAdd, "", {call.value(0), call.value(1)}, call.shape());
  give(call);
}

void GraphBuilder::max_pool(const Call& call) {
  Window& window = make(call, Op::kMaxPool, "").window;
  window.kernel = call.numbers(1, 2);
  window.stride = call.has_numbers(2) ? call.numbers(2, 2) : window.kernel;
  window.padding = call.numbers(3, 2);
  window.dilation = call.numbers(4, 2);
  window.ceil_mode = call.boolean(5);
}

void GraphBuilder::average_pool(const Call& call) {
  if (!call.boolean(5) || call.has(6))
    user_error("'aten::avg_pool2d' that does not count its padding, or with a divisor, cannot be exported");
  Window& window = make(call, Op::kAveragePool, "").window;
  window.kernel = call.numbers(1, 2);
  window.stride = call.has_numbers(2) ? call.numbers(2, 2) : window.kernel;
  window.padding = call.numbers(3, 2);
  window.dilation = {1, 1};
  window.ceil_mode = call.boolean(4);
}

void GraphBuilder::global_average_pool(const Call& call) {
  if (call.numbers(1, 2) != std::vector<std::int64_t>{1, 1})
    user_error("'aten::adaptive_avg_pool2d' to other than 1x1 cannot be exported");
  make(call, Op::kGlobalAveragePool, "");
}

void GraphBuilder::mean(const Call& call) {
  std::vector<std::int64_t> axes = call.numbers(1, 0);
  for (std::int64_t& axis : axes) axis = axis < 0 ? axis + 4 : axis;
  std::sort(axes.begin(), axes.end());
  const std::vector<std::int64_t> in = call.shape_of(0);
  if (in.size() != 3 || axes != std::vector<std::int64_t>{2, 3})
    user_error("'aten::mean' over other than height and width cannot be exported");
  make(Op::kGlobalAveragePool, "", {call.value(0)}, {in[0], 1, 1});
  if (!call.boolean(2)) make(Op::kFlatten, "", {graph_.nodes.back().output}, {in[0]});
  give(call);
}

void GraphBuilder::flatten(const Call& call) {
  const std::vector<std::int64_t> in = call.shape_of(0);
  const std::int64_t values = std::accumulate(in.begin(), in.end(), std::int64_t{1}, std::multiplies<>());
  if (call.shape() != std::vector<std::int64_t>{values})
    user_error("'{}' to other than [N, all the rest] cannot be exported", call.operator_name());
  if (in.size() == 1) return pass_on(call);
  make(call, Op::kFlatten, "");
}

void GraphBuilder::view(const Call& call) {
  flatten(call);
}

void GraphBuilder::pass_on(const Call& call) {
  values_[call.output()] = call.value(0);
}

void GraphBuilder::dropout(const Call& call) {
  if (call.boolean(2))
    user_error("'{}' that drops values in inference cannot be exported", call.operator_name());
  pass_on(call);
}

}  // namespace refnorm::deploy
