#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <refnorm/base/safetensors.h>

namespace refnorm {

/// Tensors by name out of whichever program's file: safetensors (a checksum is compared where there is one),
/// or a state dictionary of Python's torch.save in either of its formats (torch_file.h), of which nothing is
/// executed. The file's content decides, not its name. Throws UserError of one line, which for another kind
/// of file says what it looks like.
Safetensors read_weights(const std::filesystem::path& file);

/// The same of bytes in memory; `origin` names them in errors.
Safetensors parse_weights(std::string_view bytes, const std::string& origin);

}  // namespace refnorm
