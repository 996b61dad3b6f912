#include <array>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/torch_file.h>
#include <refnorm/base/weights_file.h>

namespace refnorm {
namespace {

using namespace std::string_view_literals;

/// What arrives in the place of weights, by its first bytes.
struct Other {
  std::string_view begin;
  std::string_view what;
  std::size_t at = 0;
};

constexpr auto kOthers = std::to_array<Other>({
    {"\x1f\x8b"sv, "a gzip file; unpack it first"},
    {"\x89HDF"sv, "an HDF5 file, as Keras writes"},
    {"\x93NUMPY"sv, "an array of numpy"},
    {"version https://git-lfs"sv, "a pointer of Git LFS in the place of the file; fetch the file itself"},
    {"<"sv, "a page of HTML or XML, perhaps of a download that failed"},
    {"{"sv, "JSON"},
    {"\x89PNG"sv, "a picture"},
    {"\xff\xd8\xff"sv, "a picture"},
    {"GGUF"sv, "a GGUF file"},
    {"\x08"sv, "an ONNX model"},
    {"ustar"sv, "a tar file; torch before 0.1.10 wrote such ones, others are to be unpacked first", 257},
});

/// 8 bytes of header length, of which no one writes the upper ones, and the header, which is JSON.
bool looks_like_safetensors(std::string_view bytes) {
  return bytes.size() > 8 && bytes.substr(4, 4) == "\0\0\0\0"sv && bytes[8] == '{';
}

}  // namespace

Safetensors parse_weights(std::string_view bytes, const std::string& origin) {
  constexpr std::string_view kExpected =
      "expected safetensors or a state dictionary that torch.save wrote (.pth, .pt)";
  if (bytes.empty()) user_error("{}: is empty, {}", origin, kExpected);
  // First: a header of 128 bytes begins as a pickle does, one of 60 as HTML.
  if (looks_like_safetensors(bytes)) return parse_safetensors(bytes, origin, Checksum::kIfPresent);
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("PK\x05\x06"))
    return parse_torch_zip(bytes, origin);
  if (bytes[0] == '\x80') return parse_torch_legacy(bytes, origin);
  for (const Other& other : kOthers) {
    if (bytes.size() > other.at && bytes.substr(other.at).starts_with(other.begin)) {
      user_error("{}: looks like {}; {}", origin, other.what, kExpected);
    }
  }
  user_error("{}: is nothing known, {}", origin, kExpected);
}

Safetensors read_weights(const std::filesystem::path& file) {
  return parse_weights(read_file(file), file.string());
}

}  // namespace refnorm
