#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <refnorm/base/checksum.h>
#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/base/text.h>

namespace refnorm {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kLargestHeader = 100'000'000;  // the format's own bound
constexpr std::string_view kMetadata = "__metadata__";
constexpr std::string_view kChecksumKey = "refnorm.crc32";
constexpr std::string_view kNoChecksum = "00000000";
constexpr std::string_view kChecksumPrefix = "\"refnorm.crc32\":\"";

constexpr std::array<std::pair<std::string_view, std::int64_t>, 10> kDtypes{{{"F64", 8},
                                                                             {"F32", 4},
                                                                             {"F16", 2},
                                                                             {"BF16", 2},
                                                                             {"I64", 8},
                                                                             {"I32", 4},
                                                                             {"I16", 2},
                                                                             {"I8", 1},
                                                                             {"U8", 1},
                                                                             {"BOOL", 1}}};

/// The checksum covers header and data; in the header, its own eight digits count as zeros.
std::string header_without_checksum(std::string header) {
  const std::size_t at = header.find(kChecksumPrefix);
  if (at != std::string::npos && header.size() >= at + kChecksumPrefix.size() + kNoChecksum.size()) {
    header.replace(at + kChecksumPrefix.size(), kNoChecksum.size(), kNoChecksum);
  }
  return header;
}

std::string checksum_of(const std::string& header, std::string_view data) {
  return fmt::format("{:08x}", crc32(data, crc32(header_without_checksum(header))));
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

RawTensor parse_entry(const SortedJson& entry, std::string_view data, std::size_t& expected_begin,
                      const std::string& where) {
  RawTensor tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  try {
    tensor.dtype = entry.at("dtype").get<std::string>();
    const SortedJson& shape = entry.at("shape");
    if (!shape.is_array()) user_error("{}: shape is not a list of sizes", where);
    for (const SortedJson& extent : shape) {
      if (!extent.is_number_unsigned()) user_error("{}: shape holds something that is not a size", where);
      tensor.shape.push_back(extent.get<std::int64_t>());
    }
    const SortedJson& offsets = entry.at("data_offsets");
    if (offsets.size() != 2 || !offsets.at(0).is_number_unsigned() || !offsets.at(1).is_number_unsigned()) {
      user_error("{}: data_offsets are not two positions", where);
    }
    begin = offsets.at(0).get<std::uint64_t>();
    end = offsets.at(1).get<std::uint64_t>();
  } catch (const SortedJson::exception&) {
    user_error("{}: its header entry lacks dtype, shape or data_offsets of the right kind", where);
  }
  const auto size = dtype_size(tensor.dtype);
  if (!size) user_error("{}: dtype '{}' is not known", where, printable(tensor.dtype));
  if (begin > end || end > data.size()) {
    user_error("{}: its data (bytes {} to {}) leave the file, which holds {} bytes of data", where, begin,
               end, data.size());
  }
  if (begin != expected_begin) {
    user_error("{}: its data start at byte {}, expected {} (no holes, no overlap)", where, begin,
               expected_begin);
  }
  const auto count = element_count(tensor.shape);
  std::int64_t needed = 0;
  if (!count || __builtin_mul_overflow(*count, *size, &needed) ||
      static_cast<std::uint64_t>(needed) != end - begin) {
    user_error("{}: shape [{}] of {} does not fit its {} bytes of data", where,
               printable(fmt::format("{}", fmt::join(tensor.shape, ", "))), tensor.dtype, end - begin);
  }
  tensor.bytes = data.substr(begin, end - begin);
  expected_begin = end;
  return tensor;
}

void parse_metadata(const SortedJson& entry, Safetensors& content, const std::string& origin) {
  if (!entry.is_object()) user_error("{}: __metadata__ is not an object", origin);
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) user_error("{}: metadata '{}' is not a text", origin, printable(key));
    content.metadata[key] = value.get<std::string>();
  }
}

/// Other writers order the header by name and the data by dtype.
std::vector<std::pair<std::string, SortedJson>> entries_by_offset(const SortedJson& header) {
  std::vector<std::pair<std::string, SortedJson>> entries;
  for (const auto& [name, entry] : header.items()) {
    if (name != kMetadata) entries.emplace_back(name, entry);
  }
  // By begin and end: an empty tensor stands before the one whose data start at the same place.
  const auto place = [](const SortedJson& entry) {
    const auto offset = [&](const char* where) -> std::uint64_t {
      const SortedJson::json_pointer pointer(where);
      const bool known =
          entry.is_object() && entry.contains(pointer) && entry.at(pointer).is_number_unsigned();
      return known ? entry.at(pointer).get<std::uint64_t>() : 0;
    };
    return std::pair(offset("/data_offsets/0"), offset("/data_offsets/1"));
  };
  std::stable_sort(entries.begin(), entries.end(),
                   [&](const auto& a, const auto& b) { return place(a.second) < place(b.second); });
  return entries;
}

/// What could not be read back is not written.
void check_writable(const Safetensors& content) {
  std::set<std::string_view> names{kMetadata};
  for (const auto& [name, tensor] : content.tensors) {
    if (!names.insert(name).second) fail("safetensors: the name '{}' is taken", printable(name));
    const auto size = dtype_size(tensor.dtype);
    const auto count = element_count(tensor.shape);
    std::int64_t needed = 0;
    if (!size || !count || __builtin_mul_overflow(*count, *size, &needed) ||
        static_cast<std::size_t>(needed) != tensor.bytes.size()) {
      fail("safetensors: tensor '{}' of {} [{}] does not fit its {} bytes of data", printable(name),
           tensor.dtype, fmt::join(tensor.shape, ", "), tensor.bytes.size());
    }
  }
}

}  // namespace

std::optional<std::int64_t> dtype_size(std::string_view dtype) {
  for (const auto& [name, size] : kDtypes) {
    if (name == dtype) return size;
  }
  return std::nullopt;
}

std::optional<std::int64_t> element_count(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    empty = empty || extent == 0;
    if (extent < 0 || (extent > 0 && __builtin_mul_overflow(count, extent, &count))) return std::nullopt;
  }
  return empty ? 0 : count;
}

const RawTensor* Safetensors::find(std::string_view name) const {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return &tensor;
  }
  return nullptr;
}

std::string to_safetensors(const Safetensors& content) {
  check_writable(content);
  Json header = Json::object();
  Json& metadata = header[std::string(kMetadata)] = Json::object();
  for (const auto& [key, value] : content.metadata) metadata[key] = value;
  metadata[std::string(kChecksumKey)] = kNoChecksum;
  std::string data;
  for (const auto& [name, tensor] : content.tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::type_error&) {
    fail("safetensors: a name or a text of the metadata is not UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data start aligned to 8 bytes
  const std::string sum = checksum_of(text, data);
  text.replace(text.find(kChecksumPrefix) + kChecksumPrefix.size(), sum.size(), sum);
  std::string bytes;
  for (std::size_t i = 0; i < kLengthBytes; ++i) bytes += static_cast<char>(text.size() >> (8 * i) & 0xff);
  return bytes + text + data;
}

Safetensors parse_safetensors(std::string_view bytes, const std::string& origin, Checksum checksum) {
  if (bytes.size() < kLengthBytes)
    user_error("{}: not a safetensors file, it is only {} bytes", origin, bytes.size());
  const std::uint64_t header_size = little_endian(bytes);
  if (header_size > kLargestHeader || header_size > bytes.size() - kLengthBytes) {
    user_error("{}: not a safetensors file or cut short, its header claims {} bytes and the file has {}",
               origin, header_size, bytes.size());
  }
  const std::string header_text(bytes.substr(kLengthBytes, header_size));
  const std::string_view data = bytes.substr(kLengthBytes + header_size);
  const SortedJson header = parse_json_sorted(header_text, origin + ": header");
  if (!header.is_object()) user_error("{}: the header is not a JSON object", origin);

  Safetensors content;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadata) parse_metadata(entry, content, origin);
  }
  std::size_t expected_begin = 0;
  for (const auto& [name, entry] : entries_by_offset(header)) {
    content.tensors.emplace_back(
        name, parse_entry(entry, data, expected_begin, origin + ": tensor " + printable(name)));
  }
  if (expected_begin != data.size()) {
    user_error("{}: {} bytes of data belong to no tensor", origin, data.size() - expected_begin);
  }
  const auto stored = content.metadata.find(std::string(kChecksumKey));
  if (stored == content.metadata.end()) {
    if (checksum == Checksum::kRequired) user_error("{}: damaged, its checksum is missing", origin);
    return content;
  }
  if (stored->second != checksum_of(header_text, data))
    user_error("{}: damaged, its checksum does not agree", origin);
  content.metadata.erase(stored);
  return content;
}

Safetensors read_safetensors(const std::filesystem::path& file, Checksum checksum) {
  return parse_safetensors(read_file(file), file.string(), checksum);
}

void write_safetensors(const std::filesystem::path& file, const Safetensors& content) {
  write_file(file, to_safetensors(content));
}

}  // namespace refnorm
