#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "tests/cli/program.h"

namespace refnorm::testing {

/// How the label of sample i of class c is written.
enum class Labels { kTrue, kNextClass };

/// MNIST's four files with 600 + 200 pictures of noise in which a brighter block stands at one of ten places,
/// which is the label. A network learns that within an epoch, save for the faint ones.
void write_small_data(const std::filesystem::path& folder, Labels test_labels = Labels::kTrue);

/// A folder with such data and two recipes on them, of 2 epochs of (600 − 100) / 20 = 25 steps: recipe.toml
/// has the arms none, BN and RBN, pair.toml the latter two.
class SmallRun : public ::testing::Test {
 protected:
  SmallRun();

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  bool exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }

  /// train recipe.toml --arm `arm` --out `out`, on one thread
  Words train(const std::string& out, const std::string& arm = "RBN") const;
  /// compare pair.toml --seeds `seeds` --jobs 2 --out `out`
  Words compare(const std::string& out, int seeds = 2) const;
  /// A run of `words`, which must be complete; its result.
  Json trained(const Words& words) const { return json_of(words + Words{"--json"}); }
  void copy(const std::string& from, const std::string& to) const;

  TemporaryFolder folder_;
};

}  // namespace refnorm::testing
