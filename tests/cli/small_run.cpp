#include "tests/cli/small_run.h"

#include <refnorm/base/file.h>
#include <refnorm/base/random.h>

namespace refnorm::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSide = 28;

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

/// Ten places of 5 x 8 pixels: five columns in the upper half, five in the lower one.
std::string picture(std::uint64_t place, RandomStream& random) {
  std::string pixels;
  for (std::uint64_t i = 0; i < kSide * kSide; ++i) pixels += static_cast<char>(random.below(100));
  const std::uint64_t brighter = 20 + random.below(100);
  const std::uint64_t top = 3 + 13 * (place / 5);
  const std::uint64_t left = 1 + 5 * (place % 5);
  for (std::uint64_t y = top; y < top + 8; ++y) {
    for (std::uint64_t x = left; x < left + 5; ++x) {
      char& pixel = pixels[y * kSide + x];
      pixel = static_cast<char>(static_cast<unsigned char>(pixel) + brighter);
    }
  }
  return pixels;
}

void write_part(const fs::path& folder, const std::string& part, std::uint32_t count, Labels kind) {
  RandomStream random(7, part);
  std::string images = big_endian(0x803) + big_endian(count) + big_endian(kSide) + big_endian(kSide);
  std::string labels = big_endian(0x801) + big_endian(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t place = random.below(10);
    images += picture(place, random);
    labels += static_cast<char>(kind == Labels::kTrue ? place : (place + 1) % 10);
  }
  write_file(folder / (part + "-images-idx3-ubyte"), images);
  write_file(folder / (part + "-labels-idx1-ubyte"), labels);
}

constexpr const char* kRecipe = R"(name = "small"
[data]
path = "DATA"
validation = 100
[train]
epochs = 2
batch_size = 20
lr = 0.02
checkpoint_every = 1000
log_every = 5
[reference]
size = 20
[run]
threads = 1
[[arm]]
name = "none"
norm = "none"
[[arm]]
name = "BN"
norm = "bn"
[[arm]]
name = "RBN"
norm = "rbn"
)";

}  // namespace

void write_small_data(const fs::path& folder, Labels test_labels) {
  make_folder(folder);
  write_part(folder, "train", 600, Labels::kTrue);
  write_part(folder, "t10k", 200, test_labels);
}

SmallRun::SmallRun() {
  write_small_data(folder_ / "data");
  std::string recipe = kRecipe;
  recipe.replace(recipe.find("DATA"), 4, path("data"));
  write_file(folder_ / "recipe.toml", recipe);
  const std::string none = "[[arm]]\nname = \"none\"\nnorm = \"none\"\n";
  recipe.erase(recipe.find(none), none.size());
  write_file(folder_ / "pair.toml", recipe);
}

Words SmallRun::train(const std::string& out, const std::string& arm) const {
  return {"train", path("recipe.toml"), "--arm", arm, "--out", path(out)};
}

Words SmallRun::compare(const std::string& out, int seeds) const {
  return {"compare", path("pair.toml"), "--seeds", std::to_string(seeds), "--jobs", "2", "--out", path(out)};
}

void SmallRun::copy(const std::string& from, const std::string& to) const {
  fs::remove_all(folder_ / to);
  fs::copy(folder_ / from, folder_ / to, fs::copy_options::recursive);
}

}  // namespace refnorm::testing
