#pragma once

#include <string>
#include <string_view>

#include <refnorm/base/safetensors.h>

// State dictionaries that Python's torch.save wrote, read without torch and without executing anything.
// Tensors come row-major and by themselves, whatever view of whatever storage they were; names are without
// DataParallel's "module." where all have it; the metadata's "taken_from" is the key under which the
// dictionary of tensors was found, where it was not the outermost one. docs/files.md says what is read and
// what is refused.
//
// All throw UserError of one line that names `origin`. Beside `bytes` they take the memory of the result,
// which is at most kLargestGrowth times the file, that of the storages still needed, no more than the file,
// and that of the pickle's values (see pickle.h).

namespace refnorm {

/// Tensors may share what is stored, and repeat it with strides of 0.
inline constexpr std::uint64_t kLargestGrowth = 16;

/// The zip files of torch 1.6 and later.
Safetensors parse_torch_zip(std::string_view bytes, const std::string& origin);

/// The files of torch before 1.6: pickles one behind the other, then the storages.
Safetensors parse_torch_legacy(std::string_view bytes, const std::string& origin);

}  // namespace refnorm
