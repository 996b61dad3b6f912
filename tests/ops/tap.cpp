#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/ops/tap.h>

namespace refnorm::ops {
namespace {

TEST(Tap, ReturnsItsTensorAndTellsTheInnermostObserver) {
  const torch::Tensor x = torch::ones({2});
  EXPECT_TRUE(tap("before", x).is_same(x));
  std::vector<std::string> outer;
  std::vector<std::string> inner;
  {
    const ObserveTaps first([&](std::string_view name, const torch::Tensor&) { outer.emplace_back(name); });
    tap("a", x);
    {
      const ObserveTaps second([&](std::string_view name, const torch::Tensor& seen) {
        EXPECT_TRUE(seen.is_same(x));
        inner.emplace_back(name);
      });
      tap("b", x);
    }
    tap("c", x);
  }
  tap("after", x);
  EXPECT_EQ(outer, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(inner, (std::vector<std::string>{"b"}));
}

}  // namespace
}  // namespace refnorm::ops
