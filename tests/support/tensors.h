#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "tests/base/helpers.h"

namespace refnorm::testing {

inline torch::Tensor random_double(torch::IntArrayRef shape, std::uint64_t seed) {
  return torch::randn(shape, at::make_generator<at::CPUGeneratorImpl>(seed), torch::kDouble);
}

/// Largest |a − b| relative to the largest |b| (or to 1 where b is smaller).
inline double distance(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  if (a.numel() == 0) return 0;
  const torch::Tensor x = a.detach().to(torch::kDouble);
  const torch::Tensor y = b.detach().to(torch::kDouble);
  const double gap = (x - y).abs().max().item<double>() / std::max(1.0, y.abs().max().item<double>());
  return std::isnan(gap) ? std::numeric_limits<double>::infinity() : gap;
}

using Function = std::function<torch::Tensor(const std::vector<torch::Tensor>&)>;

/// Central differences of sum(weights · f(inputs)) against autograd, for float64 inputs. Returns the worst
/// distance.
inline double gradient_gap(const Function& f, std::vector<torch::Tensor> inputs) {
  for (torch::Tensor& input : inputs) input = input.detach().clone().requires_grad_(true);
  const torch::Tensor out = f(inputs);
  const torch::Tensor weights = random_double(out.sizes(), 77);
  const auto grads = torch::autograd::grad({(out * weights).sum()}, inputs, {}, /*retain_graph=*/true,
                                           /*create_graph=*/false,
                                           /*allow_unused=*/true);
  constexpr double kStep = 1e-6;
  double worst = 0;
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    torch::Tensor numeric = torch::zeros_like(inputs[i]);
    torch::Tensor flat = inputs[i].view(-1);
    for (std::int64_t j = 0; j < flat.numel(); ++j) {
      const double before = flat[j].item<double>();
      flat[j] = before + kStep;
      const double above = (f(inputs) * weights).sum().item<double>();
      flat[j] = before - kStep;
      const double below = (f(inputs) * weights).sum().item<double>();
      flat[j] = before;
      numeric.view(-1)[j] = (above - below) / (2 * kStep);
    }
    worst = std::max(worst, distance(grads[i].defined() ? grads[i] : torch::zeros_like(numeric), numeric));
  }
  return worst;
}

/// The same for the gradient itself: f's second derivatives.
inline double second_gradient_gap(const Function& f, const std::vector<torch::Tensor>& inputs) {
  const Function gradient = [&](const std::vector<torch::Tensor>& at) {
    const torch::AutoGradMode with_grad(true);
    std::vector<torch::Tensor> leaves;
    for (const torch::Tensor& input : at)
      leaves.push_back(input.requires_grad() ? input : input.detach().requires_grad_(true));
    const torch::Tensor out = f(leaves);
    const torch::Tensor weights = random_double(out.sizes(), 78);
    const auto grads =
        torch::autograd::grad({(out * weights).sum()}, leaves, {}, true, /*create_graph=*/true);
    std::vector<torch::Tensor> flat;
    for (const torch::Tensor& grad : grads) flat.push_back(grad.reshape(-1));
    return torch::cat(flat);
  };
  return gradient_gap(gradient, inputs);
}

}  // namespace refnorm::testing
