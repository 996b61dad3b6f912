#pragma once

#include <map>
#include <string>
#include <string_view>

#include <refnorm/base/safetensors.h>
#include <refnorm/base/state_dict.h>

// What both formats of torch_file.h share: tensors made of storages.

namespace refnorm {

/// The storages of a file, by key.
class StorageBytes {
 public:
  StorageBytes() = default;
  StorageBytes(const StorageBytes&) = delete;
  StorageBytes& operator=(const StorageBytes&) = delete;
  virtual ~StorageBytes() = default;
  /// Exactly `size` bytes, or UserError. Valid until it is released.
  virtual std::string_view get(std::string_view key, std::uint64_t size) = 0;
  virtual void release(std::string_view key) = 0;
};

/// Copies every tensor out of its storage. Throws UserError where that would take more than kLargestGrowth
/// times `file_size`.
Safetensors copy_tensors(const StateDict& dictionary, StorageBytes& storages, std::uint64_t file_size,
                         const std::string& origin);

}  // namespace refnorm
