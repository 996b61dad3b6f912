#include <limits>

#include <gtest/gtest.h>

#include <refnorm/base/text.h>

namespace refnorm {
namespace {

const std::vector<std::string> kNorms{"none", "bn", "rbn", "brn", "gn", "frozen_bn", "population"};

TEST(Nearest, FindsWhatWasMeant) {
  EXPECT_EQ(nearest("popluation", kNorms), "population");  // two letters exchanged: distance 2 of 10
  EXPECT_EQ(nearest("frozenbn", kNorms), "frozen_bn");
  EXPECT_EQ(nearest("rbn", kNorms), "rbn");
}

TEST(Nearest, IsSilentWhereNothingIsNear) {
  EXPECT_EQ(nearest("layer_norm_with_affine", kNorms), "");
  EXPECT_EQ(nearest("", kNorms), "");
  EXPECT_EQ(nearest("bn", {}), "");
  EXPECT_EQ(nearest("xy", {"ab"}), "");  // every letter would have to change
}

TEST(Suggestion, NamesTheNearestOrAll) {
  EXPECT_EQ(suggestion("frozenbn", kNorms), ", did you mean 'frozen_bn'?");
  EXPECT_EQ(suggestion("something-else", {"mnist", "coco"}), "; known are: mnist, coco");
}

TEST(OneLine, FoldsWhiteSpaceAndEscapesTheRest) {
  EXPECT_EQ(one_line("Bad node.\n\n==> Context:\tnode 'a'. \n"), "Bad node. ==> Context: node 'a'");
  EXPECT_EQ(one_line(" \n a"), "a");
  EXPECT_EQ(one_line("\x01"), "\\x01");
  EXPECT_EQ(one_line(""), "");
  EXPECT_LT(one_line(std::string(1000, 'x'), 50).size(), 60U);
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), (std::vector<std::string>{""}));
  EXPECT_EQ(join(split("a:b:c", ':'), "-"), "a-b-c");
}

TEST(ReadableDuration, Units) {
  EXPECT_EQ(readable_duration(0), "0.0 s");
  EXPECT_EQ(readable_duration(4.23), "4.2 s");
  EXPECT_EQ(readable_duration(59.97), "1 min 00 s");  // not "60.0 s"
  EXPECT_EQ(readable_duration(190), "3 min 10 s");
  EXPECT_EQ(readable_duration(3599.7), "1 h 00 min");
  EXPECT_EQ(readable_duration(7530), "2 h 05 min");  // 2·3600 + 5·60 + 30
}

TEST(ReadableDuration, NumbersThatNoIntegerHolds) {
  EXPECT_EQ(readable_duration(std::numeric_limits<double>::infinity()), "an unknown time");
  EXPECT_EQ(readable_duration(std::numeric_limits<double>::quiet_NaN()), "an unknown time");
  EXPECT_EQ(readable_duration(1e300), "an unknown time");
}

TEST(Printable, OneLineWhateverComes) {
  EXPECT_EQ(printable("conv1.weight"), "conv1.weight");
  EXPECT_EQ(printable("a\nb\x1b[31m"), "a\\x0ab\\x1b[31m");
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef…");
}

}  // namespace
}  // namespace refnorm
