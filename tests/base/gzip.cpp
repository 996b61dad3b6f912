#include <gtest/gtest.h>

#include <refnorm/base/gzip.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using testing::contains;
using testing::gzipped;
using testing::user_error_of;

std::string sample() {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += std::to_string(i * i);
  return text;
}

TEST(Gunzip, ReadsWhatZlibWrote) {
  for (const std::string& text : {std::string(), std::string("a"), sample(), std::string(5'000'000, 'x')}) {
    EXPECT_EQ(gunzip(gzipped(text), "f", text.size()), text);
    EXPECT_EQ(gunzip(gzipped(text), "f", text.size() + 10), text);
  }
}

TEST(Gunzip, ReadsAFileMadeElsewhere) {
  // `printf 'abc' | gzip -n`, byte by byte: fixed Huffman codes, then CRC-32 0x352441c2 and length 3.
  const std::string bytes(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x4a\x06\x00\xc2\x41\x24\x35\x03\x00\x00\x00", 23);
  EXPECT_EQ(gunzip(bytes, "f", 3), "abc");
}

TEST(Gunzip, SeveralMembers) {
  EXPECT_EQ(gunzip(gzipped("abc") + gzipped("") + gzipped("def"), "f", 6), "abcdef");
}

TEST(Gunzip, StopsAtTheBound) {
  const std::string bomb = gzipped(std::string(50'000'000, '\0'));
  EXPECT_LT(bomb.size(), 60'000U);
  EXPECT_EQ(user_error_of([&] { gunzip(bomb, "f.gz", 1000); }), "f.gz: inflates to more than 1000 bytes");
  Gunzip reader(bomb, "f.gz");
  std::string out;
  EXPECT_EQ(reader.read(16, out), 16U);
  EXPECT_LT(out.capacity(), 4096U);
}

TEST(Gunzip, EveryCutAndEveryChangedByteOfTheTrailerIsFound) {
  const std::string whole = gzipped(sample());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    user_error_of([&] { gunzip(std::string_view(whole).substr(0, size), "f.gz", 1'000'000); });
  }
  for (std::size_t at = whole.size() - 8; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_TRUE(
        contains(user_error_of([&] { gunzip(damaged, "f.gz", 1'000'000); }), "f.gz: damaged gzip data"));
  }
}

TEST(Gunzip, TrailingBytes) {
  EXPECT_EQ(user_error_of([] { gunzip(gzipped("abc") + "xy", "f.gz", 10); }),
            "f.gz: 2 bytes follow the end of the gzip data");
}

TEST(Gunzip, KnowsItsMagic) {
  EXPECT_TRUE(is_gzip(gzipped("")));
  EXPECT_FALSE(is_gzip(""));
  EXPECT_FALSE(is_gzip("\x1f"));
  EXPECT_FALSE(is_gzip(std::string("\0\0\x08\x03", 4)));
}

}  // namespace
}  // namespace refnorm
