#include <algorithm>
#include <iterator>

#include <refnorm/deploy/fold.h>

namespace refnorm::deploy {
namespace {

bool has_weights(const Node& node) {
  return node.op == Op::kConv || node.op == Op::kConvTranspose || node.op == Op::kLinear;
}

Node* maker_of(Graph& graph, const std::string& value) {
  for (Node& node : graph.nodes) {
    if (node.output == value) return &node;
  }
  return nullptr;
}

/// The one node that reads a value; nothing where several do, or the network gives it out.
Node* only_reader_of(Graph& graph, const std::string& value) {
  if (graph.readers(value) != 1) return nullptr;
  for (Node& node : graph.nodes) {
    if (std::find(node.inputs.begin(), node.inputs.end(), value) != node.inputs.end()) return &node;
  }
  return nullptr;
}

/// A layer's weight as [groups, outputs of a group, inputs of a group, kernel], wherever these lie.
class WeightView {
 public:
  explicit WeightView(Node& node)
      : values_(node.weight.values),
        transposed_(node.op == Op::kConvTranspose),
        groups_(node.op == Op::kLinear ? 1 : node.window.groups) {
    const auto& shape = node.weight.shape;
    outputs_ = transposed_ ? shape[1] : shape[0] / groups_;
    inputs_ = transposed_ ? shape[0] / groups_ : shape[1];
    for (std::size_t i = 2; i < shape.size(); ++i) kernel_ *= shape[i];
  }
  std::int64_t all_outputs() const { return groups_ * outputs_; }

  /// body(output, input, the kernel's weights), both counted over all groups.
  template <class Body>
  void each(const Body& body) {
    for (std::int64_t g = 0; g < groups_; ++g) {
      for (std::int64_t o = 0; o < outputs_; ++o) {
        for (std::int64_t i = 0; i < inputs_; ++i) {
          const std::int64_t row =
              transposed_ ? (g * inputs_ + i) * outputs_ + o : (g * outputs_ + o) * inputs_ + i;
          body(g * outputs_ + o, g * inputs_ + i, values_.data() + row * kernel_);
        }
      }
    }
  }
  std::int64_t kernel() const { return kernel_; }

 private:
  std::vector<float>& values_;
  bool transposed_;
  std::int64_t groups_, outputs_ = 0, inputs_ = 0, kernel_ = 1;
};

void fold_into_maker(const Node& map, Node& layer) {
  WeightView weight(layer);
  weight.each([&](std::int64_t o, std::int64_t, float* kernel) {
    const double scale = map.weight.values[static_cast<std::size_t>(o)];
    for (std::int64_t k = 0; k < weight.kernel(); ++k) kernel[k] = static_cast<float>(kernel[k] * scale);
  });
  const auto outputs = static_cast<std::size_t>(weight.all_outputs());
  if (layer.bias.empty()) layer.bias = {{weight.all_outputs()}, std::vector<float>(outputs, 0)};
  for (std::size_t o = 0; o < outputs; ++o) {
    layer.bias.values[o] = static_cast<float>(
        static_cast<double>(map.weight.values[o]) * layer.bias.values[o] + map.bias.values[o]);
  }
}

void fold_into_reader(const Node& map, Node& layer) {
  WeightView weight(layer);
  std::vector<double> more(static_cast<std::size_t>(weight.all_outputs()), 0);
  weight.each([&](std::int64_t o, std::int64_t i, float* kernel) {
    const double scale = map.weight.values[static_cast<std::size_t>(i)];
    const double shift = map.bias.values[static_cast<std::size_t>(i)];
    for (std::int64_t k = 0; k < weight.kernel(); ++k) {
      more[static_cast<std::size_t>(o)] += kernel[k] * shift;
      kernel[k] = static_cast<float>(kernel[k] * scale);
    }
  });
  if (layer.bias.empty()) layer.bias = {{weight.all_outputs()}, std::vector<float>(more.size(), 0)};
  for (std::size_t o = 0; o < more.size(); ++o)
    layer.bias.values[o] = static_cast<float>(layer.bias.values[o] + more[o]);
}

bool moves_nothing(const Node& map) {
  return std::all_of(map.bias.values.begin(), map.bias.values.end(), [](float t) { return t == 0; });
}

bool goes_into_reader(const Node& map, const Node& layer) {
  if (!has_weights(layer)) return false;
  if (moves_nothing(map)) return true;
  return layer.op == Op::kLinear || (layer.op == Op::kConv && !layer.window.padded());
}

/// second · (first · x).
void fold_maps(const Node& second, Node& first) {
  for (std::size_t c = 0; c < first.weight.values.size(); ++c) {
    const double scale = second.weight.values[c];
    first.weight.values[c] = static_cast<float>(scale * first.weight.values[c]);
    first.bias.values[c] = static_cast<float>(scale * first.bias.values[c] + second.bias.values[c]);
  }
}

/// Where a map goes that stands at `at`, if anywhere: the layer has taken it up then.
bool fold_one(Graph& graph, const Node& map, FoldReport& report) {
  Node* const before = maker_of(graph, map.inputs[0]);
  const bool alone = before != nullptr && graph.readers(map.inputs[0]) == 1;
  if (alone && (has_weights(*before) || before->op == Op::kAffine)) {
    if (before->op == Op::kAffine) {
      fold_maps(map, *before);
    } else {
      fold_into_maker(map, *before);
    }
    before->output = map.output;
    report.into_before.push_back(map.name);
    return true;
  }
  Node* const after = only_reader_of(graph, map.output);
  if (after != nullptr && goes_into_reader(map, *after)) {
    fold_into_reader(map, *after);
    after->inputs[0] = map.inputs[0];
    report.into_after.push_back(map.name);
    return true;
  }
  return false;
}

}  // namespace

FoldReport fold(Graph& graph) {
  FoldReport report;
  for (std::size_t at = 0; at < graph.nodes.size();) {
    const Node map = graph.nodes[at];
    if (map.op == Op::kAffine && fold_one(graph, map, report)) {
      graph.nodes.erase(std::next(graph.nodes.begin(), static_cast<std::ptrdiff_t>(at)));
      continue;
    }
    if (map.op == Op::kAffine) report.kept.push_back(map.name);
    ++at;
  }
  return report;
}

}  // namespace refnorm::deploy
