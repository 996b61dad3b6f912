#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/random.h>
#include <refnorm/train/checkpoint.h>
#include <refnorm/train/tensor_file.h>

#include "tests/base/helpers.h"
#include "tests/support/tensors.h"
#include "tests/train/toy.h"

namespace refnorm::train {
namespace {

using refnorm::testing::distance;
using refnorm::testing::message_of;
using refnorm::testing::TemporaryFolder;
using refnorm::testing::toy_network;

namespace fs = std::filesystem;

struct Saved {
  Saved() : network(toy_network("rbn")), optimizer(*network.module, settings) {
    network.module->eval();  // an RBN layer without a reference
    for (int i = 0; i < 2; ++i) {
      optimizer.zero_grad();
      network.forward(torch::randn({4, 1, 4, 4})).pow(2).sum().backward();
      optimizer.step();
    }
    state.step = 17;
    state.epoch = {100, 90, 0.1 + 0.2};
    state.best = Best{1, 12, 2.5};
    state.target = Reached{9, 0.25};
    state.metrics_bytes = 321;
    save_checkpoint(scratch.path() / "last", *network.module, optimizer, state);
  }
  TemporaryFolder scratch;
  TrainSettings settings;
  Network network;
  Optimizer optimizer;
  RunState state;
  fs::path folder() const { return scratch.path() / "last"; }
};

TEST(Checkpoint, BringsEverythingBack) {
  Saved saved;
  const torch::Tensor expected = torch::rand({3});
  const Network other = toy_network("rbn", 99);
  Optimizer optimizer(*other.module, saved.settings);
  const RunState state = load_checkpoint(saved.folder(), *other.module, optimizer);
  EXPECT_EQ(state.step, 17);
  EXPECT_EQ(state.epoch.correct, 90);
  EXPECT_EQ(state.epoch.loss_sum, 0.1 + 0.2) << "doubles come back to the last bit";
  EXPECT_EQ(state.best->validation_error_pct, 2.5);
  EXPECT_EQ(state.best->step, 12);
  EXPECT_EQ(state.target->step, 9);
  EXPECT_EQ(state.target->training_seconds, 0.25);
  EXPECT_EQ(state.metrics_bytes, 321);
  EXPECT_EQ(distance(torch::rand({3}), expected), 0) << "the generator goes on where it was";
  EXPECT_EQ(to_safetensors(state_of(*other.module)), to_safetensors(state_of(*saved.network.module)));
  Safetensors ours;
  Safetensors theirs;
  optimizer.save(ours);
  saved.optimizer.save(theirs);
  EXPECT_EQ(to_safetensors(ours), to_safetensors(theirs));
  EXPECT_EQ(ours.tensors.size(), 6U);  // conv, norm and linear, weight and bias each
}

TEST(Checkpoint, LeavesNothingBesideItself) {
  Saved saved;
  save_checkpoint(saved.folder(), *saved.network.module, saved.optimizer, saved.state);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(saved.scratch.path()))
    names.push_back(entry.path().filename());
  EXPECT_EQ(names, std::vector<std::string>{"last"});
}

/// Loading must end in a UserError of one line that names the file.
void expect_rejected(const Saved& saved, const std::string& file, const std::string& bytes) {
  write_file(saved.folder() / file, bytes);
  const Network other = toy_network("rbn", 5);
  const std::string before = to_safetensors(state_of(*other.module));
  Optimizer optimizer(*other.module, saved.settings);
  const std::string message =
      message_of<UserError>([&] { load_checkpoint(saved.folder(), *other.module, optimizer); });
  EXPECT_NE(message.find(file), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_EQ(to_safetensors(state_of(*other.module)), before) << "a rejected file changed the network";
}

TEST(Checkpoint, RejectsEveryTruncation) {
  const Saved saved;
  for (const std::string file : {"model.safetensors", "state.safetensors", "meta.json"}) {
    const std::string whole = read_file(saved.folder() / file);
    RandomStream random(1, file);
    for (int i = 0; i < 25; ++i)
      expect_rejected(saved, file, whole.substr(0, random.below(whole.size() - 2)));
    write_file(saved.folder() / file, whole);
  }
}

TEST(Checkpoint, RejectsEveryFlippedByteOfItsTensors) {
  const Saved saved;
  for (const std::string file : {"model.safetensors", "state.safetensors"}) {
    const std::string whole = read_file(saved.folder() / file);
    RandomStream random(2, file);
    for (int i = 0; i < 60; ++i) {
      std::string damaged = whole;
      damaged[random.below(whole.size())] ^= static_cast<char>(1 + random.below(255));
      expect_rejected(saved, file, damaged);
    }
    write_file(saved.folder() / file, whole);
  }
}

TEST(Checkpoint, NoticesEveryChangedDigitOfItsMeta) {
  const Saved saved;
  const std::string whole = read_file(saved.folder() / "meta.json");
  int changed = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] < '0' || whole[i] > '8') continue;
    std::string damaged = whole;
    ++damaged[i];
    // The last digits of a double may change nothing.
    if (parse_json(damaged, "changed") == parse_json(whole, "whole")) continue;
    expect_rejected(saved, "meta.json", damaged);
    ++changed;
  }
  EXPECT_GT(changed, 10);
}

TEST(Checkpoint, NamesATensorThatDoesNotFit) {
  const Saved saved;
  const auto with = [&](const auto& change) {
    Safetensors state = state_of(*saved.network.module);
    change(state);
    expect_rejected(saved, "model.safetensors", to_safetensors(state));
  };
  with([](Safetensors& state) { state.tensors.pop_back(); });
  with([](Safetensors& state) {
    state.tensors.emplace_back("extra", RawTensor{"F32", {1}, std::string(4, '\0')});
  });
  with([](Safetensors& state) { state.tensors[0].second.shape = {3, 9}; });
  with([](Safetensors& state) { state.tensors[0].second.dtype = "I32"; });
}

TEST(Checkpoint, RejectsFilesOfAnotherMoment) {
  const Saved saved;
  Safetensors older = state_of(*saved.network.module);
  older.tensors[0].second.bytes[0] ^= 1;  // a whole file, as an earlier checkpoint's would be
  expect_rejected(saved, "model.safetensors", to_safetensors(older));
}

TEST(LoadState, SaysWhatItFoundAndWhatItExpected) {
  const Network network = toy_network("none");
  Safetensors state = state_of(*network.module);
  state.tensors[0].second.shape = {3, 9};
  EXPECT_EQ(message_of<UserError>([&] { load_state(*network.module, state, "x.safetensors"); }),
            "x.safetensors: tensor 'conv.weight' is F32 of shape [3, 9], expected F32 of shape [3, 1, 3, 3]");
}

TEST(TensorFile, KeepsEveryDtypeAndShape) {
  for (const auto type : {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kLong,
                          torch::kInt, torch::kShort, torch::kChar, torch::kByte, torch::kBool}) {
    for (const auto& shape : std::vector<std::vector<std::int64_t>>{{}, {0, 3}, {2, 3}}) {
      const torch::Tensor tensor = torch::randint(0, 2, shape).to(type);
      const torch::Tensor back = to_tensor(to_raw(tensor));
      EXPECT_TRUE(back.scalar_type() == type && torch::equal(back, tensor));
    }
  }
  const torch::Tensor strided = torch::arange(6).view({2, 3}).t();
  EXPECT_TRUE(torch::equal(to_tensor(to_raw(strided)), strided));
}

}  // namespace
}  // namespace refnorm::train
