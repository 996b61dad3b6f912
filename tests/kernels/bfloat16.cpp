#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <refnorm/kernels/bfloat16.h>

namespace refnorm::kernels {
namespace {

// 1 has the bits 3f80; a unit in the last place of bfloat16 is 2^-7 there.
TEST(Bfloat16, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(to_bfloat16(1.0F).bits, 0x3f80);
  EXPECT_EQ(to_bfloat16(1.0F + 0x1p-8F).bits, 0x3f80) << "a tie goes to the even neighbour below";
  EXPECT_EQ(to_bfloat16(1.0F + 0x1p-8F + 0x1p-20F).bits, 0x3f81) << "just above the tie";
  EXPECT_EQ(to_bfloat16(1.0F + 3 * 0x1p-8F).bits, 0x3f82) << "a tie goes to the even neighbour above";
  EXPECT_EQ(to_bfloat16(-0.0F).bits, 0x8000);
}

TEST(Bfloat16, KeepsWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(to_float(to_bfloat16(-kInfinity)), -kInfinity);
  EXPECT_EQ(to_float(to_bfloat16(std::numeric_limits<float>::max())), kInfinity)
      << "rounds up, beyond the range";
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7f800001U))))) << "not an infinity";
}

TEST(Bfloat16, ReadsBackEveryValueThatItCanHold) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Bfloat16 value{static_cast<std::uint16_t>(bits)};
    if (std::isnan(to_float(value))) continue;
    EXPECT_EQ(to_bfloat16(to_float(value)).bits, value.bits);
  }
}

}  // namespace
}  // namespace refnorm::kernels
