#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/weights_file.h>

#include "tests/base/helpers.h"
#include "tests/base/torch_writer.h"

namespace refnorm {
namespace {

using namespace std::string_literals;
using testing::contains;
using testing::small_torch_file;
using testing::user_error_of;

TEST(WeightsFile, ContentDecidesNotTheName) {
  const testing::TemporaryFolder folder;
  Safetensors content;
  content.tensors = {{"w", {"U8", {3}, "abc"}}};
  write_file(folder / "a.pth", to_safetensors(content));
  write_file(folder / "b.safetensors", small_torch_file());
  write_file(folder / "c", small_torch_file(true));
  EXPECT_EQ(read_weights(folder / "a.pth").find("w")->bytes, "abc");
  EXPECT_EQ(read_weights(folder / "b.safetensors").find("w")->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(read_weights(folder / "c").find("n")->bytes, "\x07\0\0\0\0\0\0\0"s);
  EXPECT_TRUE(
      contains(user_error_of([&] { read_weights(folder / "none.pth"); }), "none.pth: cannot be read"));
}

TEST(WeightsFile, SafetensorsWhoseFirstByteIsAnotherFormats) {
  // Its length comes first: 128 bytes begin as a pickle does, 60 as HTML, 123 as JSON, 8 as ONNX.
  for (const std::size_t length : {8, 60, 123, 128}) {
    std::string header = "{}";
    header.resize(length, ' ');
    EXPECT_TRUE(parse_weights(testing::little(length, 8) + header, "f").tensors.empty());
  }
}

TEST(WeightsFile, SaysWhatElseItFound) {
  const std::string tar = std::string(257, 'n') + "ustar" + std::string(250, '\0');
  for (const auto& [bytes, message] : std::vector<std::pair<std::string, const char*>>{
           {"", "f.pth: is empty, expected safetensors or a state dictionary"},
           {"\x1f\x8b\x08", "looks like a gzip file"},
           {"\x89HDF\r\n\x1a\n", "looks like an HDF5 file"},
           {"\x93NUMPY\1", "looks like an array of numpy"},
           {"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"},
           {"<!DOCTYPE html>", "looks like a page of HTML"},
           {"{\"a\": 1}", "looks like JSON"},
           {"\x89PNG", "looks like a picture"},
           {"\x08\x07\x12\x07pytorch", "looks like an ONNX model"},
           {tar, "looks like a tar file"},
           {"\x80\x04N.", "a pickle, but not one that torch.save wrote"},
           {"PK\x03\x04", "a zip file that is damaged or cut short"},
           {"PK\x05\x06"s + std::string(18, '\0'), "a zip file with no records"},
           {"\x05\0\0\0\0\0\0\0{}"s, "its header claims 5 bytes"},
           {"weights", "f.pth: is nothing known, expected safetensors"}}) {
    const std::string said = user_error_of([&bytes = bytes] { parse_weights(bytes, "f.pth"); });
    EXPECT_TRUE(contains(said, message)) << said;
    EXPECT_TRUE(said.starts_with("f.pth: ")) << said;
  }
}

}  // namespace
}  // namespace refnorm
