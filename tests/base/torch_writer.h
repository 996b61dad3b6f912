#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Files of torch.save made without the code under test, byte by byte, so that each byte can be wrong.

namespace refnorm::testing {

/// `value` in `width` bytes, little-endian.
std::string little(std::uint64_t value, int width);

/// A pickle, operation by operation; protocol 2 as torch.save uses it.
class PickleWriter {
 public:
  PickleWriter& raw(std::string_view operations);
  PickleWriter& text(std::string_view text);
  PickleWriter& integer(std::int64_t value);
  PickleWriter& integers(const std::vector<std::int64_t>& values);  ///< as a tuple
  PickleWriter& global(std::string_view module, std::string_view name);
  PickleWriter& ordered_dict();  ///< an empty one
  /// A storage's persistent id, in the zip format's five parts, and before 1.6 in six.
  PickleWriter& storage(std::string_view type, std::string_view key, std::int64_t elements);
  PickleWriter& legacy_storage(std::string_view type, std::string_view key, std::int64_t elements);

  struct View {
    std::string type;
    std::string key;
    std::int64_t elements = 0;
    std::int64_t offset = 0;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> strides;
    bool legacy = false;
  };
  PickleWriter& tensor(const View& view);

  const std::string& operations() const { return operations_; }
  /// With the protocol before them and the stop behind them.
  std::string done() const;

 private:
  std::string operations_;
};

struct ZipRecord {
  std::string name;
  std::string bytes;
  int method = 0;                              ///< 0: stored, 8: deflated (only said, never done)
  int flags = 0;                               ///< 1: encrypted
  std::optional<std::uint32_t> checksum = {};  ///< instead of the right one
  std::optional<std::uint32_t> size = {};      ///< instead of the right one
};

std::string zip_of(const std::vector<ZipRecord>& records);

/// archive/data.pkl and archive/data/KEY, as torch.save names them.
std::string torch_zip(const std::string& pickle,
                      const std::vector<std::pair<std::string, std::string>>& storages);

struct LegacyStorage {
  std::string key;
  std::uint64_t elements = 0;
  std::string bytes;
};

/// The first three pickles of the format before 1.6.
std::string legacy_header(bool little_endian = true);
std::string torch_legacy(const std::string& pickle, const std::vector<LegacyStorage>& storages);

/// A state dictionary {"w": float32 [2, 3], "n": int64 scalar} as a zip file (in `legacy`: the older format):
/// w is 1 to 6, n is 7.
std::string small_torch_file(bool legacy = false);

}  // namespace refnorm::testing
