#include <algorithm>

#include <torch/autograd.h>
#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <refnorm/data/loader.h>
#include <refnorm/metrics/classification.h>
#include <refnorm/train/attack.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/mode.h>

namespace refnorm::train {
namespace {

constexpr std::int64_t kBatch = 500;
/// How far PGD's steps go together, in strengths (Madry et al. 2018).
constexpr double kReach = 2.5;

}  // namespace

torch::Tensor attacked(const Network& network, const data::Batch& batch, const data::PixelScale& scale,
                       const Attack& attack) {
  const torch::Tensor original = scale.pixels(batch.images);
  const double step =
      attack.steps == 1 ? attack.strength : kReach * attack.strength / static_cast<double>(attack.steps);
  torch::Tensor pixels = original.clone();
  for (std::int64_t i = 0; i < attack.steps; ++i) {
    const torch::Tensor input = scale.values(pixels).detach().requires_grad_();
    const torch::Tensor scores = network.forward(input).to(torch::kFloat);
    const torch::Tensor loss = torch::nn::functional::cross_entropy(
        scores, batch.labels, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum));
    // A pixel grows where its value does: deviations are positive.
    const torch::Tensor gradient = torch::autograd::grad({loss}, {input})[0];
    pixels = pixels + step * gradient.sign();
    pixels =
        torch::max(torch::min(pixels, original + attack.strength), original - attack.strength).clamp(0, 1);
  }
  return scale.values(pixels).detach();
}

metrics::Tally evaluate_attacked(const Network& network, const data::ImageSet& set, std::int64_t samples,
                                 Statistics statistics, const Attack& attack, const Compute& compute) {
  const Mode mode(*network.module, /*training=*/false, statistics);
  const Bfloat16Scope precision(compute.bfloat16, compute.device);
  metrics::Tally tally;
  const std::int64_t total = std::min(samples, set.size());
  data::Loader loader =
      data::evaluation_loader(set, total, std::min(kBatch, evaluation_batch(set)), compute.workers);
  while (const auto loaded = loader.next()) {
    const data::Batch batch{compute.place(loaded->images), loaded->labels.to(compute.device), {}};
    const torch::Tensor images = attacked(network, batch, set.pixel_scale(), attack);
    const torch::NoGradGuard no_grad;
    const torch::Tensor scores = network.forward(images).to(torch::kFloat);
    const double loss = torch::nn::functional::cross_entropy(scores, batch.labels).item<double>();
    tally.add(batch.labels.size(0), metrics::count_correct(scores, batch.labels), loss);
  }
  return tally;
}

}  // namespace refnorm::train
