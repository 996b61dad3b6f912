#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <torch/csrc/jit/ir/ir.h>
#include <torch/types.h>

#include <refnorm/deploy/graph.h>
#include <refnorm/deploy/trace_operators.h>

namespace refnorm::deploy {

/// float32 values of a tensor.
Weights to_weights(const torch::Tensor& tensor);
std::vector<double> to_doubles(const torch::Tensor& tensor);

/// A recorded call of an operator: its arguments by place, each a constant or a value of the network. Throws
/// UserError naming the operator where one is not of the wanted kind.
class GraphBuilder::Call {
 public:
  Call(const torch::jit::Node& node, const std::unordered_map<const torch::jit::Value*, std::string>& values)
      : node_(node), values_(values) {}

  std::string operator_name() const { return node_.kind().toQualString(); }
  /// The (first) output, and its shape without the batch axis.
  const torch::jit::Value* output() const { return node_.output(0); }
  std::vector<std::int64_t> shape() const { return shape_of(*output()); }
  std::vector<std::int64_t> shape_of(std::size_t i) const { return shape_of(*node_.input(i)); }

  /// The name of a value of the network.
  std::string value(std::size_t i) const;
  /// Whether there is one: neither None nor an undefined tensor.
  bool has(std::size_t i) const;
  torch::Tensor tensor(std::size_t i) const;
  torch::Tensor tensor_or_none(std::size_t i) const { return has(i) ? tensor(i) : torch::Tensor(); }
  bool boolean(std::size_t i) const { return constant(i).toBool(); }
  std::int64_t number(std::size_t i) const { return constant(i).toInt(); }
  double real(std::size_t i) const;
  /// A list; one number stands for `axes` of them (0: as it is).
  std::vector<std::int64_t> numbers(std::size_t i, std::size_t axes) const;
  bool has_numbers(std::size_t i) const { return !numbers(i, 0).empty(); }

 private:
  std::vector<std::int64_t> shape_of(const torch::jit::Value& value) const;
  c10::IValue constant(std::size_t i) const;

  const torch::jit::Node& node_;
  const std::unordered_map<const torch::jit::Value*, std::string>& values_;
};

/// A call of refnorm::normalize.
class NormalizeCall {
 public:
  template <class Call>
  explicit NormalizeCall(const Call& call)
      : weight(call.tensor_or_none(1)),
        bias(call.tensor_or_none(2)),
        relu(call.boolean(6)),
        stored_mean(call.tensor_or_none(9)),
        channels_(call.shape().at(0)),
        mean_weights_(to_doubles(call.tensor(4))),
        var_weights_(to_doubles(call.tensor(5))),
        sets_(call.numbers(7, 0)),
        reference_rows_(call.number(8)),
        stored_var_(call.tensor_or_none(10)),
        mixture_(call.boolean(11)),
        eps_(call.real(12)),
        renormalizes_(call.has(13)) {}

  torch::Tensor weight, bias;
  bool relu;
  torch::Tensor stored_mean;

  /// Throws UserError where the norm uses statistics of the batch.
  void check(const std::string& layer) const;
  bool is_affine() const { return sets_.empty(); }
  /// Scale and shift; only where is_affine().
  std::pair<std::vector<double>, std::vector<double>> affine_map() const;
  SampleBlend blend() const;

 private:
  std::int64_t channels_;
  std::vector<double> mean_weights_, var_weights_;
  std::vector<std::int64_t> sets_;
  std::int64_t reference_rows_;
  torch::Tensor stored_var_;
  bool mixture_;
  double eps_;
  bool renormalizes_;
};

}  // namespace refnorm::deploy
