#include <vector>

#include <gtest/gtest.h>

#include <refnorm/base/random.h>
#include <refnorm/kernels/affine.h>

namespace refnorm::kernels {
namespace {

struct Shape {
  std::int64_t n, c, s;
};

/// The formula in double, value by value, from the definition of the two layouts.
std::vector<double> expected(const std::vector<float>& x, const Shape& shape, Layout layout,
                             const ChannelMap<float>& map) {
  std::vector<double> out(x.size());
  for (std::int64_t n = 0; n < shape.n; ++n) {
    for (std::int64_t c = 0; c < shape.c; ++c) {
      for (std::int64_t s = 0; s < shape.s; ++s) {
        const auto at = static_cast<std::size_t>(layout == Layout::kPlanar ? (n * shape.c + c) * shape.s + s
                                                                           : (n * shape.s + s) * shape.c + c);
        out[at] = (static_cast<double>(x[at]) - map.centre[c]) * map.scale[c] + map.shift[c];
      }
    }
  }
  return out;
}

TEST(Affine, EqualsItsFormulaInDoubleForEveryLayoutAndWidth) {
  RandomStream random(1, "affine");
  const auto draw = [&](std::int64_t count, double centre) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<float>(centre + random.uniform() - 0.5));
    return values;
  };
  for (const Layout layout : {Layout::kPlanar, Layout::kChannelsLast}) {
    for (const std::int64_t width : {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100}) {
      for (const Shape shape : {Shape{3, 2, width}, Shape{2, width, 3}, Shape{4, width, 1}}) {
        for (const double centre : {0.0, 1e4}) {
          const std::vector<float> x = draw(shape.n * shape.c * shape.s, centre);
          const auto k = draw(shape.c, centre);
          const auto a = draw(shape.c, 2);
          const auto b = draw(shape.c, 0);
          const ChannelMap<float> map{k.data(), a.data(), b.data()};
          const std::vector<double> want = expected(x, shape, layout, map);
          std::vector<float> out(x.size(), -1);
          affine(x.data(), out.data(), 1, shape.n, shape.c, shape.s, layout, map);
          const auto skipped = static_cast<std::size_t>(shape.c * shape.s);
          for (std::size_t i = 0; i < out.size(); ++i) {
            // |x − k| is at most 1: three roundings of values below 4.
            if (i < skipped) {
              EXPECT_EQ(out[i], -1) << "wrote before its samples";
            } else {
              EXPECT_NEAR(out[i], want[i], 1e-6);
            }
          }
        }
      }
    }
  }
}

TEST(Affine, WorksInPlaceAndOnNothing) {
  std::vector<double> x{1, 2, 3, 4};
  const double centre = 1;
  const double scale = 2;
  const double shift = 10;
  affine<double>(x.data(), x.data(), 0, 2, 1, 2, Layout::kPlanar, {&centre, &scale, &shift});
  EXPECT_EQ(x, (std::vector<double>{10, 12, 14, 16}));
  affine<double>(x.data(), x.data(), 2, 2, 1, 2, Layout::kPlanar, {&centre, &scale, &shift});
  EXPECT_EQ(x, (std::vector<double>{10, 12, 14, 16}));
}

}  // namespace
}  // namespace refnorm::kernels
