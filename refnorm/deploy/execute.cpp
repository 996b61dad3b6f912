#include <algorithm>
#include <set>

#include <torch/nn/functional/linear.h>
#include <torch/utils.h>

#include <refnorm/deploy/execute.h>
#include <refnorm/ops/max_pool.h>
#include <refnorm/ops/normalize.h>

namespace refnorm::deploy {
namespace {

using torch::Tensor;

Tensor to_tensor(const Weights& weights) {
  if (weights.empty()) return {};
  return torch::tensor(weights.values).reshape(weights.shape);
}

Tensor to_tensor(const std::vector<double>& values) {
  return torch::tensor(values, torch::kDouble);
}

/// [C] along axis 1 of x.
Tensor along_channels(const Tensor& values, const Tensor& x) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[1] = values.numel();
  return values.reshape(shape);
}

Tensor convolve(const Node& node, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const Window& window = node.window;
  return torch::_convolution(x, weight, bias, window.stride, window.padding, window.dilation,
                             node.op == Op::kConvTranspose, window.output_padding, window.groups,
                             /*benchmark=*/false, /*deterministic=*/false, /*cudnn_enabled=*/true,
                             /*allow_tf32=*/true);
}

/// Whether a node's output is memory of its own: not a view of its input.
bool makes_memory(Op op) {
  return op != Op::kFlatten;
}

bool is_two_by_two(const Window& window) {
  const std::vector<std::int64_t> two{2, 2};
  return window.kernel == two && window.stride == two && !window.padded() &&
         window.dilation == std::vector<std::int64_t>{1, 1} && !window.ceil_mode;
}

Tensor pool(const Window& window, const Tensor& x) {
  if (is_two_by_two(window)) return ops::max_pool_2x2(x);
  return torch::max_pool2d(x, window.kernel, window.stride, window.padding, window.dilation,
                           window.ceil_mode);
}

}  // namespace

Executor::Executor(Graph graph) : graph_(std::move(graph)) {
  for (const Node& node : graph_.nodes) {
    Parameters with{to_tensor(node.weight), to_tensor(node.bias), {}, {}, {}, {}};
    if (node.op == Op::kNormalize) {
      with.stored_mean = to_tensor(node.blend.stored_mean);
      with.stored_var = to_tensor(node.blend.stored_var);
      with.mean_weights = to_tensor(node.blend.mean_weights);
      with.var_weights = to_tensor(node.blend.var_weights);
    }
    parameters_.push_back(with);
  }
  std::set<std::string> read{graph_.output};
  last_read_.resize(graph_.nodes.size());
  for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
    for (const std::string& value : graph_.nodes[i].inputs) {
      if (read.insert(value).second) last_read_[i].push_back(value);
    }
  }
  std::set<std::string> own;  // values in memory that no other value shares
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    const bool last = std::count(last_read_[i].begin(), last_read_[i].end(), node.inputs[0]) > 0;
    in_place_.push_back(node.op == Op::kRelu && last && own.count(node.inputs[0]) > 0);
    if (makes_memory(node.op)) {
      own.insert(node.output);
    } else {
      own.erase(node.inputs[0]);
    }
  }
}

Tensor Executor::operator()(const Tensor& images) const {
  const torch::NoGradGuard no_grad;
  std::map<std::string, Tensor> values{{graph_.input, images}};
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    const Tensor other = node.inputs.size() > 1 ? values.at(node.inputs[1]) : Tensor();
    values[node.output] = compute(i, values.at(node.inputs[0]), other);
    for (const std::string& done : last_read_[i]) values.erase(done);
  }
  return values.at(graph_.output);
}

Tensor Executor::compute(std::size_t i, const Tensor& x, const Tensor& other) const {
  const Node& node = graph_.nodes[i];
  const Parameters& with = parameters_[i];
  const Window& window = node.window;
  switch (node.op) {
    case Op::kConv:
    case Op::kConvTranspose:
      return convolve(node, x, with.weight, with.bias);
    case Op::kLinear:
      return torch::nn::functional::linear(x, with.weight, with.bias);
    case Op::kAffine:
      return x * along_channels(with.weight, x) + along_channels(with.bias, x);
    case Op::kNormalize: {
      ops::NormalizeBy by;
      for (const std::int64_t channels : node.blend.channels) by.sets.push_back({1, channels});
      by.stored_mean = with.stored_mean;
      by.stored_var = with.stored_var;
      by.mean_weights = with.mean_weights;
      by.var_weights = with.var_weights;
      by.mixture = node.blend.mixture;
      by.eps = node.blend.eps;
      return ops::normalize(x, by, with.weight, with.bias).y;
    }
    case Op::kRelu:
      return in_place_[i] ? Tensor(x).relu_() : torch::relu(x);
    case Op::kAdd:
      return x + other;
    case Op::kMaxPool:
      return pool(window, x);
    case Op::kAveragePool:
      return torch::avg_pool2d(x, window.kernel, window.stride, window.padding, window.ceil_mode);
    case Op::kGlobalAveragePool:
      return torch::adaptive_avg_pool2d(x, {1, 1});
    case Op::kFlatten:
      break;
  }
  return x.flatten(1);
}

}  // namespace refnorm::deploy
