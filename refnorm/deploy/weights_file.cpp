#include <cstring>

#include <fmt/ranges.h>

#include <refnorm/base/error.h>
#include <refnorm/deploy/weights_file.h>

namespace refnorm::deploy {
namespace {

RawTensor to_raw(const Weights& weights) {
  RawTensor raw{"F32", weights.shape, std::string(weights.values.size() * sizeof(float), '\0')};
  std::memcpy(raw.bytes.data(), weights.values.data(), raw.bytes.size());
  return raw;
}

void take(Weights& weights, const Safetensors& from, const std::string& name, const std::string& origin) {
  if (weights.empty()) return;
  const RawTensor* raw = from.find(name);
  if (raw == nullptr) user_error("{}: '{}' is missing", origin, name);
  if (raw->dtype != "F32" || raw->shape != weights.shape)
    user_error("{}: '{}' is {} of shape [{}], expected F32 of shape [{}]", origin, name, raw->dtype,
               fmt::join(raw->shape, ", "), fmt::join(weights.shape, ", "));
  std::memcpy(weights.values.data(), raw->bytes.data(), raw->bytes.size());
}

}  // namespace

Safetensors weights_of(const Graph& graph) {
  Safetensors content;
  for (const Node& node : graph.nodes) {
    if (!node.weight.empty()) content.tensors.emplace_back(node.name + ".weight", to_raw(node.weight));
    if (!node.bias.empty()) content.tensors.emplace_back(node.name + ".bias", to_raw(node.bias));
  }
  return content;
}

Graph with_weights(Graph graph, const Safetensors& weights, const std::string& origin) {
  for (Node& node : graph.nodes) {
    take(node.weight, weights, node.name + ".weight", origin);
    take(node.bias, weights, node.name + ".bias", origin);
  }
  return graph;
}

}  // namespace refnorm::deploy
