#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/deploy/trace.h>
#include <refnorm/deploy/trace_operators.h>

namespace refnorm::deploy {
namespace {

namespace jit = torch::jit;
using torch::Tensor;

/// eval(), and parameters without gradients, which a trace takes for constants; as before when it goes.
class ForInference {
 public:
  explicit ForInference(torch::nn::Module& module) : module_(module), training_(module.is_training()) {
    for (const auto& part : module.modules(/*include_self=*/false))
      modes_.emplace_back(part, part->is_training());
    for (const Tensor& parameter : module.parameters()) {
      if (parameter.requires_grad()) learning_.push_back(parameter);
    }
    module.eval();
    for (Tensor& parameter : learning_) parameter.requires_grad_(false);
  }
  ~ForInference() {
    module_.train(training_);
    for (auto& [part, training] : modes_) part->train(training);
    for (Tensor& parameter : learning_) parameter.requires_grad_(true);
  }
  ForInference(const ForInference&) = delete;
  ForInference& operator=(const ForInference&) = delete;

 private:
  torch::nn::Module& module_;
  bool training_;
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> modes_;
  std::vector<Tensor> learning_;
};

std::shared_ptr<jit::Graph> recorded(const ModelView& model, const Tensor& example) {
  const torch::NoGradGuard no_grad;
  // With names for nothing, parameters become constants.
  const auto no_name = [](const torch::autograd::Variable&) { return std::string(); };
  const auto [state, outputs] = jit::tracer::trace(
      {example.clone()},
      [&](const jit::Stack& inputs) -> jit::Stack {
        jit::tracer::getTracingState()->warn =
            false;  // of values that are made on the way, which is as it must be
        return {model.forward(inputs.at(0).toTensor())};
      },
      no_name,
      /*strict=*/true, /*force_outplace=*/true);
  jit::ConstantPropagation(state->graph);
  jit::EliminateDeadCode(state->graph);
  return state->graph;
}

}  // namespace

Graph trace(const ModelView& model, const Tensor& example) {
  const ForInference inference(model.module());
  LayerNames names;
  for (const auto& item : model.module().named_parameters()) names.add(item.value(), item.key());
  for (const auto& item : model.module().named_buffers()) names.add(item.value(), item.key());
  const std::shared_ptr<jit::Graph> graph = recorded(model, example);
  GraphBuilder builder(std::move(names));
  builder.input(graph->inputs().at(0), example);
  for (const jit::Node* node : graph->nodes()) builder.add(*node);
  return builder.finish(graph->outputs().at(0));
}

}  // namespace refnorm::deploy
