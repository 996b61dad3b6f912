#include <string>

#include <gtest/gtest.h>

#include <refnorm/base/checksum.h>

namespace refnorm {
namespace {

TEST(Crc32, KnownAnswers) {
  EXPECT_EQ(crc32("123456789"),
            0xcbf43926U);  // the check value that every catalogue of CRCs gives for CRC-32
  EXPECT_EQ(crc32(""), 0U);
}

TEST(Crc32, ContinuesAnEarlierSum) {
  EXPECT_EQ(crc32("6789", crc32("12345")), 0xcbf43926U);
  // A default string_view has a null pointer, which zlib takes as the wish to start anew.
  EXPECT_EQ(crc32(std::string_view(), crc32("123456789")), 0xcbf43926U);
}

// FIPS 180-4's examples of one and two blocks, of no bits, and of a million letters.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace refnorm
