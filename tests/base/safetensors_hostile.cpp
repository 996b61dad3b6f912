
#include <gtest/gtest.h>

#include <refnorm/base/safetensors.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"

namespace refnorm {
namespace {

using testing::contains;
using testing::user_error_of;

/// A file of that header and that many bytes of data, made without the code under test.
std::string file_of(const std::string& header, std::size_t data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + std::string(data, 'd');
}

struct Hostile {
  const char* what;
  std::string header;
  std::size_t data;
  const char* message;
};

std::string one(const std::string& entry) {
  return "{\"a\":" + entry + "}";
}

std::string shaped(const std::string& shape, const std::string& offsets = "[0,4]") {
  return one(R"({"dtype":"U8","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}");
}

const std::vector<Hostile>& hostile_headers() {
  static const std::vector<Hostile> all{
      {"no object", "[]", 0, "not a JSON object"},
      {"a number", "7", 0, "not a JSON object"},
      {"no JSON", "{", 0, "not valid JSON at byte 2"},
      {"no header", "", 0, "not valid JSON"},
      {"entry is a number", one("7"), 4, "lacks dtype"},
      {"entry is a list", one("[1,2]"), 4, "lacks dtype"},
      {"entry is empty", one("{}"), 4, "lacks dtype"},
      {"dtype is a number", one(R"({"dtype":7,"shape":[4],"data_offsets":[0,4]})"), 4, "lacks dtype"},
      {"dtype unknown", one(R"({"dtype":"F\n8","shape":[4],"data_offsets":[0,4]})"), 4,
       "dtype 'F\\x0a8' is not known"},
      {"no shape", one(R"({"dtype":"U8","data_offsets":[0,4]})"), 4, "lacks dtype"},
      {"shape is a number", shaped("4"), 4, "shape is not a list"},
      {"shape is null", shaped("null", "[0,1]"), 1, "shape is not a list"},
      {"shape is a text", shaped("\"4\""), 4, "shape is not a list"},
      {"shape is an object", shaped(R"({"x":4})"), 4, "shape is not a list"},
      {"negative extent", shaped("[-4]"), 4, "not a size"},
      {"two negative extents", shaped("[-2,-2]"), 4, "not a size"},
      {"fractional extent", shaped("[4.0]"), 4, "not a size"},
      {"nested shape", shaped("[[4]]"), 4, "not a size"},
      {"huge extent", shaped("[4000000000000000000]"), 4, "does not fit its 4 bytes"},
      {"extent beyond int64", shaped("[9223372036854775812]"), 4, "does not fit"},
      {"extent beyond uint64", shaped("[18446744073709551620]"), 4, "not a size"},
      {"product is 4 modulo 2^64", shaped("[4611686018427387905,4]"), 4, "does not fit"},
      {"product is 0 modulo 2^64", shaped("[4294967296,4294967296]", "[0,0]"), 0, "does not fit"},
      {"bytes are 0 modulo 2^64",
       one(R"({"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]})"), 0, "does not fit"},
      {"empty, but strides overflow", shaped("[0,4294967296,4294967296]", "[0,0]"), 0, "does not fit"},
      {"offsets missing", one(R"({"dtype":"U8","shape":[4]})"), 4, "lacks dtype"},
      {"offsets are one", shaped("[4]", "[0]"), 4, "not two positions"},
      {"offsets are three", shaped("[4]", "[0,4,4]"), 4, "not two positions"},
      {"offsets are an object", shaped("[4]", R"({"0":0,"1":4})"), 4, "lacks dtype"},
      {"offsets are texts", shaped("[4]", R"(["0","4"])"), 4, "not two positions"},
      {"offsets are negative", shaped("[4]", "[-4,0]"), 4, "not two positions"},
      {"offsets are backwards", shaped("[4]", "[4,0]"), 4, "leave the file"},
      {"offsets leave the file", shaped("[5]", "[0,5]"), 4, "leave the file"},
      {"offsets near 2^64", shaped("[4]", "[18446744073709551612,18446744073709551615]"), 4,
       "leave the file"},
      {"hole in front", shaped("[3]", "[1,4]"), 4, "no holes"},
      {"bytes behind", shaped("[3]", "[0,3]"), 4, "1 bytes of data belong to no tensor"},
      {"no tensors, but data", "{}", 4, "4 bytes of data belong to no tensor"},
      {"overlap",
       R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       4, "no overlap"},
      {"same data twice",
       R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       4, "no overlap"},
      {"hole between",
       R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       4, "no holes"},
      {"same name twice",
       R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       4, "stands twice"},
      {"same key twice inside", one(R"({"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]})"), 4,
       "stands twice"},
      {"metadata is a list", R"({"__metadata__":[]})", 0, "__metadata__ is not an object"},
      {"metadata holds a number", R"({"__metadata__":{"step":7}})", 0, "metadata 'step' is not a text"},
      {"checksum is no sum", R"({"__metadata__":{"refnorm.crc32":"x"}})", 0, "checksum does not agree"},
      {"checksum is wrong", R"({"__metadata__":{"refnorm.crc32":"00000000"}})", 0, "checksum does not agree"},
      {"number beyond double", shaped("[1e999]"), 4, "a number is too large"},
      {"not UTF-8", "{\"\xff\":{}}", 0, "not valid JSON"},
      {"deep nesting", shaped(std::string(5000, '[') + std::string(5000, ']')), 4, "nested more than"},
      {"deeper nesting", one(std::string(2'000'000, '[')), 4, "nested more than"},
      {"name with a line break", "{\"a\\nb\":7}", 0, "tensor a\\x0ab: its header"},
  };
  return all;
}

TEST(SafetensorsHostile, Headers) {
  for (const Hostile& hostile : hostile_headers()) {
    SCOPED_TRACE(hostile.what);
    const std::string message = user_error_of(
        [&] { parse_safetensors(file_of(hostile.header, hostile.data), "f.st", Checksum::kIfPresent); });
    EXPECT_TRUE(message.starts_with("f.st: ")) << message;
    EXPECT_TRUE(contains(message, hostile.message)) << message;
    EXPECT_LT(message.size(), 300U);
  }
}

TEST(SafetensorsHostile, HeaderLength) {
  const auto with_length = [](std::uint64_t length) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xff);
    return bytes + "{}";
  };
  EXPECT_NO_THROW(parse_safetensors(with_length(2), "f", Checksum::kIfPresent));
  for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{10}, std::uint64_t{100'000'001},
                                     std::uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7}) {
    EXPECT_TRUE(
        contains(user_error_of([&] { parse_safetensors(with_length(length), "f", Checksum::kIfPresent); }),
                 "its header claims"));
  }
}

TEST(SafetensorsHostile, ManyNamesTakeNoQuadraticTime) {
  // Keys kept in a list would need 1.8·10^11 comparisons here, more than the time that a test has; sorted
  // ones some seconds.
  std::string header = "{";
  for (int i = 0; i < 600'000; ++i) {
    header +=
        fmt::format(R"({}"n{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", i == 0 ? "" : ",", i);
  }
  EXPECT_EQ(parse_safetensors(file_of(header + "}", 0), "f", Checksum::kIfPresent).tensors.size(), 600'000U);
}

void expect_error_or_success(const std::string& bytes) {
  for (const Checksum checksum : {Checksum::kIfPresent, Checksum::kRequired}) {
    try {
      parse_safetensors(bytes, "f", checksum);
    } catch (const UserError& error) {
      ASSERT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
}

TEST(SafetensorsHostile, RandomDamageEndsInAnErrorOrInSuccess) {
  Safetensors content;
  content.tensors = {{"conv1.weight", {"F32", {2, 1}, "abcdefgh"}},
                     {"n", {"I64", {}, "12345678"}},
                     {"e", {"U8", {0, 3}, ""}}};
  content.metadata = {{"step", "7"}};
  const std::string ours = to_safetensors(content);
  const std::string foreign = file_of(
      R"({"b":{"dtype":"F16","shape":[2],"data_offsets":[1,5]},"a":{"dtype":"I8","shape":[],"data_offsets":[0,1]}})",
      5);
  RandomStream random(20, "damage");
  for (int i = 0; i < 5000; ++i) {
    expect_error_or_success(testing::mutate(ours, random));
    expect_error_or_success(testing::mutate(foreign, random));
  }
}

}  // namespace
}  // namespace refnorm
