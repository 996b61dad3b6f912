// A network of one's own with reference batch normalization, and a training loop of one's own.

#include <cstdio>

#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <refnorm/norms/capture.h>
#include <refnorm/norms/reference_batch_norm.h>

namespace {

using torch::Tensor;

struct NetImpl : torch::nn::Module {
  NetImpl()
      : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 8, 3).padding(1)))),
        norm(register_module("norm", refnorm::ReferenceBatchNorm2d(8))),
        dense(register_module("dense", torch::nn::Linear(8 * 8 * 8, 2))) {}
  Tensor forward(const Tensor& x) { return dense(torch::relu(norm(conv(x))).flatten(1)); }

  torch::nn::Conv2d conv;
  refnorm::ReferenceBatchNorm2d norm;
  torch::nn::Linear dense;
};
TORCH_MODULE(Net);

struct Batch {
  Tensor images, labels;
};

/// Noise of deviation 1 around 5; a label of 1 has its upper half brighter by 1.
Batch draw(std::int64_t count) {
  Batch batch{torch::randn({count, 1, 8, 8}) + 5, torch::randint(0, 2, {count}, torch::kLong)};
  batch.images.narrow(2, 0, 4).add_(batch.labels.to(torch::kFloat).view({count, 1, 1, 1}));
  return batch;
}

int fail(const char* what) {
  std::printf("FAILED: %s\n", what);
  return 1;
}

}  // namespace

int main() {
  torch::manual_seed(1);
  Net net;
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.02).momentum(0.9));
  refnorm::ReferenceKeeper reference(net, draw(32).images);

  double first = 0;
  double last = 0;
  for (int step = 0; step < 100; ++step) {
    const Batch batch = draw(16);
    const Tensor loss = torch::nn::functional::cross_entropy(reference.forward(batch.images), batch.labels);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    // Means of ten: one batch of 16 says little.
    (step < 10 ? first : last) += step < 10 || step >= 90 ? loss.item<double>() / 10 : 0;
  }
  // Guessing costs log 2 = 0.69; the mean of 32 pixels tells the halves apart at 1 / (sqrt(2 / 32)) = 4
  // deviations.
  std::printf("loss %.3f, then %.3f\n", first, last);
  if (!(last < first / 2)) return fail("the loss does not fall");
  if (!net->norm->reference_captured()) return fail("no reference was captured");

  net->eval();
  const torch::NoGradGuard no_grad;
  const Batch fresh = draw(1000);
  const double accuracy =
      net->forward(fresh.images).argmax(1).eq(fresh.labels).to(torch::kFloat).mean().item<double>();
  // The best rule, a threshold in the middle of 4 deviations, is right in 97.7 %.
  std::printf("accuracy %.3f\n", accuracy);
  if (!(accuracy > 0.85)) return fail("evaluation is not what was learned");
  // In eval() a sample's scores do not depend on its batch.
  const Tensor alone = net->forward(fresh.images.narrow(0, 0, 1));
  if (!torch::allclose(alone, net->forward(fresh.images).narrow(0, 0, 1), 1e-4, 1e-4)) {
    return fail("a sample alone gets other scores");
  }
  std::printf("OK\n");
  return 0;
}
