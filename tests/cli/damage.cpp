#include <functional>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/safetensors.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

/// A finished run whose result is missing: --resume goes on from its last checkpoint, at the end.
class Damage : public SmallRun {
 protected:
  Damage() {
    trained(train("good") + Words{"--set", "train.epochs=1"});
    fs::remove(path("good/result.json"));
  }

  Words resume() const { return train("run") + Words{"--set", "train.epochs=1", "--resume"}; }
  Words eval() const { return {"eval", path("run")}; }

  /// `words` on a fresh copy of the run with `file` replaced end in one line that begins with the file's
  /// name.
  void expect_complaint(const Words& words, const std::string& file, const std::string& bytes) {
    copy("good", "run");
    write_file(folder_ / "run" / file, bytes);
    expect_name(words, file);
  }
  void expect_complaint_without(const Words& words, const std::string& file) {
    copy("good", "run");
    fs::remove_all(folder_ / "run" / file);
    expect_name(words, file);
  }
  void expect_name(const Words& words, const std::string& file) const {
    const std::string message = error_of(words);
    EXPECT_TRUE(message.starts_with(path("run/" + file) + ": ")) << message;
    EXPECT_FALSE(exists("run/result.json"));
  }

  std::string good(const std::string& file) const { return read_file(folder_ / "good" / file); }
};

std::string flipped(std::string bytes, std::size_t place) {
  bytes.at(place) = static_cast<char>(bytes.at(place) ^ 0x10);
  return bytes;
}

/// 2^60 bytes of header, which nobody should try to allocate.
std::string with_huge_header(std::string bytes) {
  for (std::size_t i = 0; i < 8; ++i) bytes.at(i) = i == 7 ? '\x10' : '\0';
  return bytes;
}

TEST_F(Damage, NoneIsNoComplaint) {
  copy("good", "run");
  const Json evaluated = json_of(eval() + Words{"--json"});
  EXPECT_EQ(trained(resume()).at("test_error_pct"), evaluated.at("test_error_pct"));
}

TEST_F(Damage, OfTheWeights) {
  const std::string file = "last/model.safetensors";
  const std::string bytes = good(file);
  for (const std::size_t place : {std::size_t{40}, bytes.size() / 2, bytes.size() - 1}) {
    expect_complaint(resume(), file, flipped(bytes, place));
  }
  for (const std::size_t length : {std::size_t{7}, bytes.size() / 2, bytes.size() - 1}) {
    expect_complaint(resume(), file, bytes.substr(0, length));
  }
  expect_complaint(resume(), file, with_huge_header(bytes));
  expect_complaint(eval(), file, flipped(bytes, bytes.size() / 2));
  expect_complaint(eval(), file, bytes.substr(0, bytes.size() / 2));
  expect_complaint_without(resume(), file);
}

TEST_F(Damage, WeightsOfAnotherNetwork) {
  const std::string file = "last/model.safetensors";
  const Safetensors whole = parse_safetensors(good(file), file, Checksum::kRequired);
  Safetensors other = whole;
  RawTensor& tensor = other.tensors.front().second;
  tensor.shape.insert(tensor.shape.begin(), 1);  // as many values, of another shape
  expect_complaint(resume(), file, to_safetensors(other));
  expect_complaint(eval(), file, to_safetensors(other));
  other = whole;
  other.tensors.front().first = "of\nanother";
  expect_complaint(eval(), file, to_safetensors(other));
  other = whole;
  other.tensors.pop_back();
  expect_complaint(eval(), file, to_safetensors(other));
}

TEST_F(Damage, OfOptimizerAndGenerator) {
  const std::string file = "last/state.safetensors";
  const std::string bytes = good(file);
  expect_complaint(resume(), file, flipped(bytes, bytes.size() / 3));
  expect_complaint(resume(), file, bytes.substr(0, bytes.size() - 100));
  expect_complaint(resume(), file, with_huge_header(bytes));
  expect_complaint(resume(), file, "");
  expect_complaint_without(resume(), file);

  const auto changed = [&](const std::string& name, const std::function<void(RawTensor&)>& change) {
    Safetensors other = parse_safetensors(bytes, file, Checksum::kRequired);
    for (auto& [key, tensor] : other.tensors) {
      if (key == name) change(tensor);
    }
    return to_safetensors(other);
  };
  const auto another_shape = [](RawTensor& tensor) { tensor.shape.push_back(1); };
  // As many bytes, of a state that no generator can have.
  const auto another_state = [](RawTensor& tensor) { tensor.bytes.assign(tensor.bytes.size(), '\xff'); };
  expect_complaint(resume(), file, changed("momentum/fc3.weight", another_shape));
  expect_complaint(resume(), file, changed("generator/cpu", another_state));
}

TEST_F(Damage, OfThePlaceInTheRun) {
  const std::string file = "last/meta.json";
  const std::string text = good(file);
  expect_complaint(resume(), file, text.substr(0, text.size() / 2));
  expect_complaint(resume(), file, "");
  std::string other = text;
  other.replace(other.find("\"step\": 25"), 10, "\"step\": 24");
  expect_complaint(resume(), file, other);
  expect_complaint_without(resume(), file);
  expect_complaint_without(eval(), file);
}

TEST_F(Damage, OfMetricsAndConfiguration) {
  const std::string metrics = good("metrics.jsonl");
  expect_complaint(resume(), "metrics.jsonl", metrics.substr(0, metrics.size() - 1));
  expect_complaint(resume(), "metrics.jsonl", "");
  expect_complaint_without(resume(), "metrics.jsonl");
  const std::string config = good("config.toml");
  expect_complaint(resume(), "config.toml", config.substr(0, config.size() / 2));
  expect_complaint(eval(), "config.toml", config.substr(0, config.size() / 2));
}

TEST_F(Damage, OfPopulationStatistics) {
  const std::string bytes = good("population.safetensors");
  expect_complaint(eval(), "population.safetensors", flipped(bytes, bytes.size() - 9));
  Safetensors other = parse_safetensors(bytes, "population", Checksum::kRequired);
  other.tensors.front().second.shape.push_back(1);
  expect_complaint(eval(), "population.safetensors", to_safetensors(other));
}

TEST_F(Damage, ABestThatIsNotThere) {
  copy("good", "run");
  fs::remove_all(path("run/best"));
  EXPECT_TRUE(contains(error_of(eval() + Words{"--checkpoint", "best"}), path("run/best") + ": "));
}

}  // namespace
}  // namespace refnorm
