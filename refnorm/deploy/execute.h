#pragma once

#include <map>
#include <string>

#include <torch/types.h>

#include <refnorm/deploy/graph.h>
#include <refnorm/norms/capture.h>

namespace refnorm::deploy {

/// A graph that runs on LibTorch: folded inference in the program that trained.
class Executor {
 public:
  explicit Executor(Graph graph);

  /// images[N, C, *] -> scores[N, …], float32, on the CPU; without gradients.
  torch::Tensor operator()(const torch::Tensor& images) const;

  const Graph& graph() const { return graph_; }

 private:
  struct Parameters {
    torch::Tensor weight, bias, stored_mean, stored_var, mean_weights, var_weights;
  };
  torch::Tensor compute(std::size_t i, const torch::Tensor& x, const torch::Tensor& other) const;

  Graph graph_;
  std::vector<Parameters> parameters_;               ///< of each node
  std::vector<std::vector<std::string>> last_read_;  ///< values that nobody reads after a node
  std::vector<bool> in_place_;                       ///< whether a node may write over its input
};

}  // namespace refnorm::deploy
