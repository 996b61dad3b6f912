#include <cstring>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/base/torch_file.h>
#include <refnorm/base/torch_storages.h>

namespace refnorm {
namespace {

bool is_row_major(const TorchTensor& tensor) {
  std::int64_t expected = 1;
  for (std::size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

/// The numbers of a tensor that is not empty. Its view was checked against the storage.
std::string copied(const TorchTensor& tensor, std::string_view storage) {
  const auto size = static_cast<std::size_t>(*dtype_size(tensor.dtype));
  const char* first = storage.data() + static_cast<std::size_t>(tensor.offset) * size;
  if (is_row_major(tensor)) return {first, static_cast<std::size_t>(tensor.bytes)};
  std::string bytes(static_cast<std::size_t>(tensor.bytes), '\0');
  const std::size_t dimensions = tensor.shape.size();
  const std::int64_t length = tensor.shape[dimensions - 1];
  const std::int64_t step = tensor.strides[dimensions - 1];
  std::vector<std::int64_t> index(dimensions, 0);
  std::int64_t at = 0;
  for (char* to = bytes.data(); to != bytes.data() + bytes.size();) {
    for (std::int64_t i = 0; i < length; ++i, to += size) {
      std::memcpy(to, first + static_cast<std::size_t>(at + i * step) * size, size);
    }
    for (std::size_t d = dimensions - 1; d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      at -= tensor.strides[d] * tensor.shape[d];
      index[d] = 0;
    }
  }
  return bytes;
}

void check_growth(const StateDict& dictionary, std::uint64_t file_size, const std::string& origin) {
  std::uint64_t total = 0;
  for (const TorchTensor& tensor : dictionary.tensors) {
    // Neither the product nor the sum overflows: no file has 2^59 bytes, and the sum is checked each time.
    if (static_cast<std::uint64_t>(tensor.bytes) > kLargestGrowth * file_size - total) {
      user_error(
          "{}: tensor {} repeats what is stored: with its {} bytes the tensors take more than {} times the "
          "file, "
          "the most that is read",
          origin, printable(tensor.name), tensor.bytes, kLargestGrowth);
    }
    total += static_cast<std::uint64_t>(tensor.bytes);
  }
}

}  // namespace

Safetensors copy_tensors(const StateDict& dictionary, StorageBytes& storages, std::uint64_t file_size,
                         const std::string& origin) {
  check_growth(dictionary, file_size, origin);
  std::map<std::string_view, std::size_t> uses;
  for (const TorchTensor& tensor : dictionary.tensors) ++uses[tensor.storage];
  Safetensors content;
  if (!dictionary.taken_from.empty()) content.metadata["taken_from"] = dictionary.taken_from;
  for (const TorchTensor& tensor : dictionary.tensors) {
    const TorchStorage& described = dictionary.storages.at(tensor.storage);
    std::int64_t size = 0;
    if (__builtin_mul_overflow(described.elements, *dtype_size(described.dtype), &size)) {
      user_error("{}: storage '{}' of {} elements is too large", origin, printable(tensor.storage),
                 described.elements);
    }
    const std::string_view storage = storages.get(tensor.storage, static_cast<std::uint64_t>(size));
    content.tensors.emplace_back(
        tensor.name,
        RawTensor{tensor.dtype, tensor.shape, tensor.bytes == 0 ? std::string() : copied(tensor, storage)});
    if (--uses[tensor.storage] == 0) storages.release(tensor.storage);
  }
  return content;
}

}  // namespace refnorm
