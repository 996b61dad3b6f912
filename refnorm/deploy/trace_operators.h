#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include <torch/csrc/jit/ir/ir.h>
#include <torch/types.h>

#include <refnorm/deploy/graph.h>

namespace refnorm::deploy {

/// Which layer a tensor of a trace belongs to, by where its values lie.
class LayerNames {
 public:
  /// `key`: "layer1.0.conv1.weight"
  void add(const torch::Tensor& tensor, const std::string& key);
  /// "layer1.0.conv1"; empty for tensors that no layer holds.
  std::string find(const torch::Tensor& tensor) const;

 private:
  std::unordered_map<const void*, std::string> layers_;
};

/// Turns the operators of a recorded forward pass into a Graph's.
class GraphBuilder {
 public:
  explicit GraphBuilder(LayerNames names);

  void input(const torch::jit::Value* value, const torch::Tensor& example);
  /// Throws UserError where a Graph has nothing for the operator.
  void add(const torch::jit::Node& node);
  Graph finish(const torch::jit::Value* output);

 private:
  class Call;
  using Translate = void (GraphBuilder::*)(const Call&);
  static const std::map<std::string, Translate>& translations();

  void convolution(const Call& call);
  void linear(const Call& call);
  void addmm(const Call& call);
  void normalize(const Call& call);
  void batch_norm(const Call& call);
  void group_norm(const Call& call);
  void instance_norm(const Call& call);
  void relu(const Call& call);
  void plus(const Call& call);
  void max_pool(const Call& call);
  void average_pool(const Call& call);
  void global_average_pool(const Call& call);
  void mean(const Call& call);
  void flatten(const Call& call);
  void view(const Call& call);
  void pass_on(const Call& call);
  void dropout(const Call& call);

  /// The node, with a name and an output of its own; `layer` may be empty.
  Node& make(const Call& call, Op op, const std::string& layer);
  /// The same with the inputs given.
  Node& make(Op op, const std::string& layer, std::vector<std::string> inputs,
             std::vector<std::int64_t> shape);
  void affine(const Call& call, const std::string& layer, const std::vector<double>& scale,
              const std::vector<double>& shift);
  /// That value is the last node's output.
  void give(const Call& call);
  std::string unique(const std::string& wish);

  LayerNames names_;
  Graph graph_;
  std::unordered_map<const torch::jit::Value*, std::string> values_;
  std::map<std::string, int> used_;
};

}  // namespace refnorm::deploy
