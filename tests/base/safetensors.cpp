#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <refnorm/base/checksum.h>
#include <refnorm/base/file.h>
#include <refnorm/base/safetensors.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using testing::contains;
using testing::message_of;
using testing::user_error_of;

std::string counted_bytes(std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(i * 37 + 11);
  return bytes;
}

void expect_same(const Safetensors& got, const Safetensors& expected) {
  EXPECT_EQ(got.metadata, expected.metadata);
  ASSERT_EQ(got.tensors.size(), expected.tensors.size());
  for (std::size_t i = 0; i < got.tensors.size(); ++i) {
    EXPECT_EQ(got.tensors[i].first, expected.tensors[i].first);
    EXPECT_EQ(got.tensors[i].second.dtype, expected.tensors[i].second.dtype);
    EXPECT_EQ(got.tensors[i].second.shape, expected.tensors[i].second.shape);
    EXPECT_EQ(got.tensors[i].second.bytes, expected.tensors[i].second.bytes);
  }
}

/// Every dtype of the format's table that this project knows, with the bytes an element takes there.
Safetensors every_dtype() {
  Safetensors content;
  for (const auto& [dtype, size] : std::vector<std::pair<std::string, std::size_t>>{{"F64", 8},
                                                                                    {"F32", 4},
                                                                                    {"F16", 2},
                                                                                    {"BF16", 2},
                                                                                    {"I64", 8},
                                                                                    {"I32", 4},
                                                                                    {"I16", 2},
                                                                                    {"I8", 1},
                                                                                    {"U8", 1},
                                                                                    {"BOOL", 1}}) {
    content.tensors.emplace_back(dtype + ".matrix", RawTensor{dtype, {3, 5}, counted_bytes(15 * size)});
    content.tensors.emplace_back(dtype + ".scalar", RawTensor{dtype, {}, counted_bytes(size)});
    content.tensors.emplace_back(dtype + ".empty", RawTensor{dtype, {0}, ""});
    content.tensors.emplace_back(dtype + ".empty rows", RawTensor{dtype, {100000, 0, 7}, ""});
  }
  content.metadata = {{"format", "pt"}, {"größe", "a \"quoted\"\nline"}, {"", ""}};
  return content;
}

TEST(Safetensors, RoundTripOfEveryDtypeAndShape) {
  const Safetensors content = every_dtype();
  expect_same(parse_safetensors(to_safetensors(content), "test", Checksum::kRequired), content);
}

TEST(Safetensors, RoundTripOfNothing) {
  expect_same(parse_safetensors(to_safetensors({}), "test", Checksum::kRequired), {});
}

TEST(Safetensors, EmptyTensorLargerThanTheFileOnPaper) {
  // [10, 0] holds nothing, though 10 exceeds the 3 bytes of data that the file has.
  Safetensors content;
  content.tensors = {{"a", {"U8", {3}, "abc"}}, {"b", {"F32", {10, 0}, ""}}};
  expect_same(parse_safetensors(to_safetensors(content), "test", Checksum::kRequired), content);
}

TEST(Safetensors, DataStartsAligned) {
  Safetensors content;
  for (const char* name : {"a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh"}) {
    content.tensors = {{name, {"U8", {1}, "x"}}};
    const std::string bytes = to_safetensors(content);
    EXPECT_EQ((bytes.size() - 1) % 8, 0U);
    EXPECT_EQ(bytes.back(), 'x');
  }
}

RC_GTEST_PROP(SafetensorsProperty, RoundTrip, ()) {
  Safetensors content;
  const std::vector<std::string> dtypes{"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"};
  const auto ascii = rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127));
  const auto names = *rc::gen::unique<std::vector<std::string>>(ascii);
  for (const std::string& name : names) {
    if (name == "__metadata__") continue;
    RawTensor tensor;
    tensor.dtype = *rc::gen::elementOf(dtypes);
    tensor.shape = *rc::gen::container<std::vector<std::int64_t>>(3, rc::gen::inRange<std::int64_t>(0, 5));
    std::int64_t count = *dtype_size(tensor.dtype);
    for (const std::int64_t extent : tensor.shape) count *= extent;
    tensor.bytes =
        *rc::gen::container<std::string>(static_cast<std::size_t>(count), rc::gen::arbitrary<char>());
    content.tensors.emplace_back(name, tensor);
  }
  content.metadata = *rc::gen::container<std::map<std::string, std::string>>(ascii, ascii);
  const Safetensors got = parse_safetensors(to_safetensors(content), "test", Checksum::kRequired);
  RC_ASSERT(got.metadata == content.metadata);
  RC_ASSERT(got.tensors.size() == content.tensors.size());
  for (const auto& [name, tensor] : content.tensors) {
    const RawTensor* found = got.find(name);
    RC_ASSERT(found != nullptr);
    RC_ASSERT(found->dtype == tensor.dtype);
    RC_ASSERT(found->shape == tensor.shape);
    RC_ASSERT(found->bytes == tensor.bytes);
  }
}

// Written by hand after the format's page: 8 bytes of little-endian header length (0xc9 = 201), the header,
// then the data; entries not in the order of the data, an empty tensor, spaces behind the header, no
// checksum.
TEST(Safetensors, ReadsAFileWrittenByHand) {
  using namespace std::string_literals;
  const std::string header =
      "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]},"
      "\"__metadata__\":{\"made\":\"by hand\"},"
      "\"none\":{\"data_offsets\":[1,1],\"dtype\":\"I64\",\"shape\":[0,4]},"
      "\"a\": {\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}   ";
  ASSERT_EQ(header.size(), 0xc9U);
  const std::string file = "\xc9\0\0\0\0\0\0\0"s + header + "\x07"s + "\0\0\x80\x3f"s + "\0\0\0\xc0"s;
  const Safetensors content = parse_safetensors(file, "hand", Checksum::kIfPresent);
  ASSERT_EQ(content.tensors.size(), 3U);
  EXPECT_EQ(content.tensors[0].first, "a");
  EXPECT_EQ(content.tensors[0].second.shape, std::vector<std::int64_t>{});
  EXPECT_EQ(content.tensors[0].second.bytes, "\x07");
  EXPECT_EQ(content.tensors[1].first, "none");  // empty, so it stands before what starts at the same byte
  const RawTensor* b = content.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->shape, std::vector<std::int64_t>{2});
  EXPECT_EQ(b->bytes, "\0\0\x80\x3f\0\0\0\xc0"s);  // 1.0f and −2.0f
  EXPECT_EQ(content.metadata, (std::map<std::string, std::string>{{"made", "by hand"}}));
  EXPECT_EQ(content.find("c"), nullptr);
  EXPECT_TRUE(contains(user_error_of([&] { parse_safetensors(file, "hand", Checksum::kRequired); }),
                       "hand: damaged, its checksum is missing"));
}

Safetensors small_content() {
  Safetensors content;
  content.tensors = {{"w", {"F32", {2}, counted_bytes(8)}}, {"b", {"U8", {3}, "   "}}};
  content.metadata = {{"step", "7"}};
  return content;
}

TEST(SafetensorsChecksum, EveryChangeOfOneByteIsFound) {
  const std::string whole = to_safetensors(small_content());
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      ASSERT_THROW(parse_safetensors(damaged, "test", Checksum::kRequired), UserError)
          << at << " ^ " << change;
    }
  }
}

TEST(SafetensorsChecksum, EveryTruncationIsFound) {
  const std::string whole = to_safetensors(small_content());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    for (const Checksum checksum : {Checksum::kRequired, Checksum::kIfPresent}) {
      user_error_of([&] { parse_safetensors(std::string_view(whole).substr(0, size), "test", checksum); });
    }
  }
  user_error_of([&] { parse_safetensors(whole + "x", "test", Checksum::kRequired); });
}

TEST(SafetensorsChecksum, IsTheCrcWithItsOwnDigitsZero) {
  // Recomputed here from the file's text, after docs: CRC-32 over header and data, the eight digits as zeros.
  const std::string whole = to_safetensors(small_content());
  const std::string key = "\"refnorm.crc32\":\"";
  const std::size_t at = whole.find(key) + key.size();
  std::string zeroed = whole.substr(8);
  zeroed.replace(at - 8, 8, "00000000");
  EXPECT_EQ(whole.substr(at, 8), fmt::format("{:08x}", crc32(zeroed)));
}

TEST(SafetensorsWriting, RefusesWhatCouldNotBeReadBack) {
  const auto refused = [](Safetensors content) {
    return message_of<Error>([&] { to_safetensors(content); });
  };
  EXPECT_TRUE(contains(refused({{{"a", {"U8", {1}, "x"}}, {"a", {"U8", {1}, "y"}}}, {}}), "'a' is taken"));
  EXPECT_TRUE(contains(refused({{{"__metadata__", {"U8", {1}, "x"}}}, {}}), "is taken"));
  EXPECT_TRUE(contains(refused({{{"a", {"F32", {1}, "x"}}}, {}}), "does not fit its 1 bytes"));
  EXPECT_TRUE(contains(refused({{{"a", {"F99", {1}, "x"}}}, {}}), "does not fit"));
  EXPECT_TRUE(contains(refused({{{"a", {"U8", {-1}, ""}}}, {}}), "does not fit"));
  EXPECT_TRUE(contains(refused({{{"\xff", {"U8", {1}, "x"}}}, {}}), "not UTF-8"));
}

TEST(SafetensorsFile, RoundTripAndErrors) {
  const testing::TemporaryFolder folder;
  write_safetensors(folder / "a.safetensors", every_dtype());
  expect_same(read_safetensors(folder / "a.safetensors", Checksum::kRequired), every_dtype());
  EXPECT_EQ(folder.entries(), 1U);
  EXPECT_TRUE(contains(user_error_of([&] { read_safetensors(folder / "no"); }), "no: cannot be read"));
}

}  // namespace
}  // namespace refnorm
