#include <vector>

#include <gtest/gtest.h>

#include <refnorm/base/json.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/base/text.h>

#include "tests/base/helpers.h"
#include "tests/train/toy_run.h"

namespace refnorm::train {
namespace {

using refnorm::testing::metrics_of;
using refnorm::testing::run_toy;
using refnorm::testing::Stop;
using refnorm::testing::TemporaryFolder;
using refnorm::testing::toy_settings;

namespace fs = std::filesystem;

std::vector<Json> validations_in(const fs::path& folder) {
  std::vector<Json> lines;
  for (const std::string& text : split(metrics_of(folder), '\n')) {
    if (text.empty()) continue;
    const Json line = parse_json(text, "line");
    if (line.contains("validation_error_pct")) lines.push_back(line);
  }
  return lines;
}

TEST(Validation, ValidatesBetweenEpochsToo) {
  TrainSettings settings = toy_settings();
  settings.validate_every = 5;
  const TemporaryFolder scratch;
  const Outcome outcome = run_toy(scratch.path(), "rbn", false, -1, settings);
  // Every fifth of 36 steps, and the epochs' ends 12, 24 and 36, of which none is a fifth.
  std::vector<std::int64_t> steps;
  Best best{0, 0, 101};
  for (const Json& line : validations_in(scratch.path())) {
    const auto step = line.at("step").get<std::int64_t>();
    steps.push_back(step);
    EXPECT_EQ(line.at("kind"), step % 12 == 0 ? "epoch" : "validation");
    EXPECT_EQ(line.at("epoch"), step / 12);
    const double error = line.at("validation_error_pct");
    if (error < best.validation_error_pct) best = {step / 12, step, error};
  }
  EXPECT_EQ(steps, (std::vector<std::int64_t>{5, 10, 12, 15, 20, 24, 25, 30, 35, 36}));
  EXPECT_EQ(outcome.state.best->step, best.step);
  EXPECT_EQ(outcome.state.best->epoch, best.epoch);
  EXPECT_EQ(outcome.state.best->validation_error_pct, best.validation_error_pct);
  EXPECT_EQ(read_json(scratch.path() / "best/meta.json").at("step"), best.step);
}

TEST(Validation, MeasuringDoesNotChangeWhatIsTrained) {
  TrainSettings often = toy_settings();
  often.validate_every = 1;
  for (const std::string norm : {"rbn", "rbn:fixed", "rbn:live", "vbn", "bn:cumulative", "none"}) {
    const TemporaryFolder plain;
    const TemporaryFolder measured;
    std::string expected;
    std::string weights;
    run_toy(plain.path(), norm, false, -1, toy_settings(), &expected);
    run_toy(measured.path(), norm, false, -1, often, &weights);
    EXPECT_EQ(validations_in(measured.path()).size(), 36U);
    for (std::string* bytes : {&weights, &expected}) {
      Safetensors state = parse_safetensors(*bytes, "weights", Checksum::kRequired);
      // Virtual batch norm's reference is taken for each evaluation, which it counts.
      std::erase_if(state.tensors,
                    [](const auto& tensor) { return tensor.first == "norm.num_ref_captures"; });
      *bytes = to_safetensors(state);
    }
    EXPECT_TRUE(weights == expected) << norm;
  }
}

TEST(Validation, NotesTheFirstStepWithinTheTarget) {
  TrainSettings settings = toy_settings();
  settings.validate_every = 1;
  const TemporaryFolder all;
  run_toy(all.path(), "bn", false, -1, settings);
  std::vector<double> errors;
  for (const Json& line : validations_in(all.path())) errors.push_back(line.at("validation_error_pct"));
  ASSERT_EQ(errors.size(), 36U);
  // A target in the midst of what the errors go through, and where they first come to it.
  settings.target = errors[11];
  std::int64_t expected = 1;
  while (errors[static_cast<std::size_t>(expected - 1)] > settings.target) ++expected;
  ASSERT_GT(expected, 1) << "the first error is above it";
  for (const std::int64_t stop : {-1, 1, 2, 6, 12, 35}) {
    const TemporaryFolder scratch;
    if (stop > 0) {
      EXPECT_THROW(run_toy(scratch.path(), "bn", false, stop, settings), Stop);
    }
    const Outcome outcome = run_toy(scratch.path(), "bn", stop > 0, -1, settings);
    ASSERT_TRUE(outcome.state.target) << stop;
    EXPECT_EQ(outcome.state.target->step, expected) << stop;
    EXPECT_GT(outcome.state.target->training_seconds, 0);
    EXPECT_LE(outcome.state.target->training_seconds, outcome.state.training_seconds);
    EXPECT_EQ(metrics_of(scratch.path()), metrics_of(all.path())) << stop;
  }
  settings.target = 0.001;  // of 40 samples: no error at all
  const TemporaryFolder scratch;
  settings.lr = 0;
  EXPECT_FALSE(run_toy(scratch.path(), "bn", false, -1, settings).state.target);
}

}  // namespace
}  // namespace refnorm::train
