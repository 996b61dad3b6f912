#include <cmath>
#include <limits>
#include <map>

#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/module.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/text.h>
#include <refnorm/train/evaluate.h>
#include <refnorm/train/trainer.h>

#include "tests/base/helpers.h"
#include "tests/support/tensors.h"
#include "tests/train/toy_run.h"

namespace refnorm::train {
namespace {

using refnorm::testing::distance;
using refnorm::testing::message_of;
using refnorm::testing::metrics_of;
using refnorm::testing::run_toy;
using refnorm::testing::Stop;
using refnorm::testing::TemporaryFolder;
using refnorm::testing::toy_network;
using refnorm::testing::toy_settings;
using refnorm::testing::ToySet;

namespace fs = std::filesystem;

TEST(Trainer, LearnsAndWritesWhatItSaw) {
  const TemporaryFolder scratch;
  const Outcome outcome = run_toy(scratch.path(), "rbn", false);
  EXPECT_EQ(outcome.state.step, 3 * (200 / 16));
  EXPECT_FALSE(outcome.diverged);
  EXPECT_LT(outcome.state.last_epoch.error_pct(), 25);  // chance is 50
  EXPECT_LT(outcome.state.best->validation_error_pct, 25);
  int steps = 0;
  int epochs = 0;
  for (const std::string& text : split(metrics_of(scratch.path()), '\n')) {
    if (text.empty()) continue;
    const Json line = parse_json(text, "line");
    line.at("kind") == "step" ? ++steps : ++epochs;
  }
  EXPECT_EQ(steps, 36 / 3);
  EXPECT_EQ(epochs, 3);
  double shares = 0;
  for (const auto& [part, share] : outcome.shares) shares += share;
  EXPECT_NEAR(shares, 1, 1e-9);
}

// With one step a line and no momentum, decay or schedule, the norm of a layer's change is the rate times its
// gradient's.
TEST(Trainer, LogsGradientNormsByLayer) {
  TrainSettings settings = toy_settings();
  settings.epochs = 1;
  settings.log_every = 1;
  settings.schedule = "constant";
  settings.warmup_epochs = 0;
  settings.momentum = 0;
  settings.weight_decay = 0;
  settings.lr = 0.01;
  const TemporaryFolder scratch;
  const ToySet train(200);
  const Network network = toy_network("bn");
  const auto sampler = data::make_sampler("iid", data::keys_of(train), settings.batch_size, 1);
  ReferenceKeeper reference(ModelView(*network.module, network.forward),
                            train.batch(std::vector<std::int64_t>{1, 2, 3, 4}).images);
  Classification task(network, reference, {&train, &train, sampler.get()}, settings, {});
  Trainer trainer(task, settings, scratch.path());
  std::map<std::string, torch::Tensor> before;
  const auto remember = [&] {
    for (const auto& item : network.module->named_parameters())
      before[item.key()] = item.value().detach().clone();
  };
  remember();
  std::vector<std::map<std::string, double>> changes;
  Hooks hooks;
  hooks.after_step = [&](const RunState&, double) {
    std::map<std::string, double> squares;
    for (const auto& item : network.module->named_parameters()) {
      const std::string layer = item.key().substr(0, item.key().rfind('.'));
      squares[layer] +=
          (item.value().detach() - before[item.key()]).to(torch::kDouble).square().sum().item<double>();
    }
    changes.push_back(squares);
    remember();
  };
  trainer.run(false, hooks);
  std::size_t i = 0;
  for (const std::string& text : split(metrics_of(scratch.path()), '\n')) {
    if (text.empty() || parse_json(text, "line").at("kind") != "step") continue;
    const Json norms = parse_json(text, "line").at("gradient_norm");
    ASSERT_EQ(norms.size(), changes.at(i).size());
    // Weights of about 1 hold changes to 6e-8.
    for (const auto& [layer, squares] : changes[i])
      EXPECT_NEAR(norms.at(layer).get<double>(), std::sqrt(squares) / settings.lr, 1e-4) << layer;
    ++i;
  }
  EXPECT_EQ(i, changes.size());
}

TEST(Trainer, GivesUpWhereGuessingIsNotBeaten) {
  TrainSettings settings = toy_settings();
  settings.lr = 0;
  settings.give_up = 0.5;
  const TemporaryFolder scratch;
  // Half of 36 steps is 18, where there is a line; the toy's untrained loss is above ln 2 there.
  const Outcome outcome = run_toy(scratch.path(), "none", false, -1, settings);
  ASSERT_TRUE(outcome.diverged);
  EXPECT_EQ(outcome.diverged->step, 18);
  EXPECT_EQ(outcome.diverged->given_up, "no better than guessing");
  EXPECT_EQ(outcome.diverged->layer, "");
  settings.lr = 0.05;
  const TemporaryFolder other;
  EXPECT_FALSE(run_toy(other.path(), "bn", false, -1, settings).diverged) << "learns";
}

// Batches of one of two equally frequent labels: no entropy, and 1 bit away from the set.
TEST(Trainer, LogsHowSkewedTheBatchesWere) {
  const TemporaryFolder scratch;
  run_toy(scratch.path(), "bn", false, -1, toy_settings(), nullptr, "pk:1");
  for (const std::string& text : split(metrics_of(scratch.path()), '\n')) {
    if (text.empty()) continue;
    const Json line = parse_json(text, "line");
    if (line.at("kind") != "step") continue;
    EXPECT_EQ(line.at("label_entropy_bits"), 0);
    EXPECT_NEAR(line.at("label_divergence_bits").get<double>(), 1, 1e-12);
  }
}

TEST(Trainer, GoesOnInASkewedStreamAfterAStop) {
  const auto metrics_after = [](std::int64_t stop) {
    const TemporaryFolder scratch;
    if (stop > 0) {
      EXPECT_THROW(run_toy(scratch.path(), "rbn", false, stop, toy_settings(), nullptr, "dirichlet:0.5"),
                   Stop);
    }
    run_toy(scratch.path(), "rbn", stop > 0, -1, toy_settings(), nullptr, "dirichlet:0.5");
    return metrics_of(scratch.path());
  };
  const std::string whole = metrics_after(0);
  for (const std::int64_t stop : {1, 11, 12, 13, 30}) EXPECT_EQ(metrics_after(stop), whole) << stop;
}

TEST(Trainer, GoesOnToTheSameBitsAfterAStopAtAnyStep) {
  for (const std::string norm : {"rbn", "rbn:live", "rbn:moving", "bn:cumulative", "none"}) {
    const TemporaryFolder whole;
    std::string expected;
    run_toy(whole.path(), norm, false, -1, toy_settings(), &expected);
    for (const std::int64_t stop : {1, 4, 5, 11, 12, 13, 30, 36}) {
      const TemporaryFolder scratch;
      EXPECT_THROW(run_toy(scratch.path(), norm, false, stop), Stop);
      std::string weights;
      run_toy(scratch.path(), norm, true, -1, toy_settings(), &weights);
      EXPECT_EQ(weights, expected) << norm << " stopped after " << stop;
      EXPECT_EQ(metrics_of(scratch.path()), metrics_of(whole.path())) << norm << " stopped after " << stop;
      for (const char* file :
           {"last/model.safetensors", "last/state.safetensors", "best/model.safetensors"}) {
        EXPECT_EQ(read_file(scratch.path() / file), read_file(whole.path() / file)) << norm << " " << file;
      }
    }
  }
}

// With all that a step can have: what is averaged and what training goes on from are both brought back.
TEST(Trainer, GoesOnToTheSameBitsWithAnAverageOfTheWeights) {
  TrainSettings settings = toy_settings();
  settings.ema = 0.9;
  settings.accumulate = 2;  // 6 steps an epoch, 18 in all
  settings.clip_norm = 0.5;
  settings.label_smoothing = 0.1;
  settings.precision = "bf16";
  settings.memory_format = "channels_last";
  const TemporaryFolder whole;
  std::string expected;
  const Outcome outcome = run_toy(whole.path(), "rbn", false, -1, settings, &expected);
  EXPECT_EQ(outcome.state.step, 18);
  EXPECT_EQ(read_file(whole.path() / "last/model.safetensors"), expected)
      << "the network holds the average in the end, and so does the checkpoint";
  for (const std::int64_t stop : {1, 4, 5, 6, 7, 17}) {
    const TemporaryFolder scratch;
    EXPECT_THROW(run_toy(scratch.path(), "rbn", false, stop, settings), Stop);
    std::string weights;
    run_toy(scratch.path(), "rbn", true, -1, settings, &weights);
    EXPECT_EQ(weights, expected) << "stopped after " << stop;
    EXPECT_EQ(metrics_of(scratch.path()), metrics_of(whole.path())) << "stopped after " << stop;
    for (const char* file : {"last/state.safetensors", "best/model.safetensors"})
      EXPECT_EQ(read_file(scratch.path() / file), read_file(whole.path() / file)) << file;
  }
}

TEST(Trainer, LearnsInBfloat16AsInFloat32) {
  TrainSettings settings = toy_settings();
  settings.epochs = 6;
  std::vector<double> errors;
  for (const char* precision : {"fp32", "bf16"}) {
    settings.precision = precision;
    settings.memory_format = settings.precision == "bf16" ? "channels_last" : "contiguous";
    const TemporaryFolder scratch;
    const Outcome outcome = run_toy(scratch.path(), "bn", false, -1, settings);
    errors.push_back(outcome.state.last_epoch.error_pct());
  }
  EXPECT_LT(errors[0], 15) << "half of the samples have a brighter upper half";
  // 200 samples: a standard error of about 2 points each.
  EXPECT_NEAR(errors[1], errors[0], 6);
}

TEST(Trainer, NamesTheStepAndTheLayerThatDiverged) {
  const TemporaryFolder scratch;
  TrainSettings settings = toy_settings();
  settings.lr = 1e30;
  settings.warmup_epochs = 0;
  const Outcome outcome = run_toy(scratch.path(), "none", false, -1, settings);
  ASSERT_TRUE(outcome.diverged);
  // The first step moves the weights to about 1e30; products of two such layers leave float32 (3e38) in the
  // second.
  EXPECT_EQ(outcome.diverged->step, 2);
  EXPECT_EQ(outcome.diverged->layer, "linear");
}

TEST(Trainer, RefusesAMetricsFileShorterThanItsCheckpoint) {
  const TemporaryFolder scratch;
  EXPECT_THROW(run_toy(scratch.path(), "bn", false, 9), Stop);
  write_file(scratch.path() / "metrics.jsonl", "{}\n");
  EXPECT_NE(
      message_of<UserError>([&] { run_toy(scratch.path(), "bn", true); }).find("metrics.jsonl: shorter"),
      std::string::npos);
}

TEST(Optimizer, IsTorchsSgdWithADecayOfItsOwnForNorms) {
  TrainSettings settings;
  settings.lr = 0.5;
  settings.momentum = 0;
  settings.weight_decay = 0.1;
  settings.norm_weight_decay = 0.2;
  const Network network = toy_network("bn");
  Optimizer optimizer(*network.module, settings);
  const auto parameters = network.module->named_parameters();
  const torch::Tensor conv = parameters["conv.weight"].detach().clone();
  for (const auto& item : parameters) item.value().mutable_grad() = torch::ones_like(item.value());
  optimizer.step();
  // p − lr·(1 + decay·p); a norm's weight is 1: 1 − 0.5·(1 + 0.2)
  EXPECT_LT(distance(parameters["conv.weight"], conv - 0.5 * (1 + 0.1 * conv)), 1e-7);
  EXPECT_LT(distance(parameters["norm.weight"], torch::full({3}, 0.4)), 1e-7);
}

TEST(Evaluate, CountsOverTheWholeSetAndPutsTheModeBack) {
  const ToySet set(50);
  const Network network = toy_network("bn");
  network.module->train();
  const metrics::Tally tally = evaluate(network, set, 16, Statistics::kByMode, {});
  EXPECT_EQ(tally.samples, 50);
  EXPECT_TRUE(network.module->is_training());
  network.module->eval();
  std::vector<std::int64_t> all(50);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  const data::Batch batch = set.batch(all);
  const torch::Tensor scores = network.forward(batch.images);
  EXPECT_EQ(tally.correct, scores.argmax(1).eq(batch.labels).sum().item<std::int64_t>());
  EXPECT_NEAR(tally.mean_loss(), torch::nn::functional::cross_entropy(scores, batch.labels).item<double>(),
              1e-6);
}

TEST(Evaluate, RunsInBfloat16) {
  const ToySet set(64);
  const Network network = toy_network("bn");
  const metrics::Tally full = evaluate(network, set, 64, Statistics::kBatch, {});
  const metrics::Tally half = evaluate(network, set, 64, Statistics::kBatch, {torch::kCPU, true});
  EXPECT_NE(half.loss_sum, full.loss_sum);
  EXPECT_NEAR(half.mean_loss(), full.mean_loss(),
              0.02);  // 8 bits of significand: about 2^-8 of a loss near 1, a few times over
}

}  // namespace
}  // namespace refnorm::train
