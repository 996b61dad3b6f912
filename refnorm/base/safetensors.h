#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace refnorm {

/// One tensor as it lies in a safetensors file: row-major, little-endian, uninterpreted bytes.
struct RawTensor {
  std::string dtype;  ///< F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL
  std::vector<std::int64_t> shape;
  std::string bytes;
};

/// Bytes that one element of that dtype takes, or nothing for a dtype that is not known.
std::optional<std::int64_t> dtype_size(std::string_view dtype);

/// The product of the extents. Nothing where one is negative or those other than 0 overflow: strides are
/// computed from them also where the tensor is empty.
std::optional<std::int64_t> element_count(const std::vector<std::int64_t>& shape);

/// The content of a safetensors file (https://huggingface.co/docs/safetensors: 8 bytes of header length, a
/// JSON header of dtype, shape and offsets by name, then the data).
struct Safetensors {
  std::vector<std::pair<std::string, RawTensor>> tensors;  ///< in file order
  std::map<std::string, std::string> metadata;  ///< the header's __metadata__, without the checksum

  const RawTensor* find(std::string_view name) const;
};

enum class Checksum { kRequired, kIfPresent };

/// Serializes with a CRC-32 over header and data, kept in the metadata under "refnorm.crc32".
std::string to_safetensors(const Safetensors& content);

/// Parses and checks everything: header size, JSON, repeated names, dtypes, shapes against sizes, offsets
/// that leave the file, overlap or leave holes, and the checksum (files of other programs carry none:
/// kIfPresent). Memory taken is bounded by the size of `bytes`. Throws UserError of one line that names
/// `origin`.
Safetensors parse_safetensors(std::string_view bytes, const std::string& origin, Checksum checksum);

Safetensors read_safetensors(const std::filesystem::path& file, Checksum checksum = Checksum::kIfPresent);

/// Atomic, see write_file.
void write_safetensors(const std::filesystem::path& file, const Safetensors& content);

}  // namespace refnorm
