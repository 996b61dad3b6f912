#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <refnorm/base/pickle.h>

namespace refnorm {

/// A run of numbers that torch.save puts outside the pickle; tensors are views of it.
struct TorchStorage {
  std::string dtype;          ///< as in RawTensor
  std::int64_t elements = 0;  ///< that the pickle says it has
};

/// A tensor of a state dictionary, before any of its numbers is read. Everything about it is checked: its
/// view lies within `storage`, and no size overflows.
struct TorchTensor {
  std::string name;
  std::string_view storage;  ///< key
  std::string dtype;
  std::int64_t offset = 0;  ///< in elements, as the strides
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::int64_t bytes = 0;  ///< that it takes row-major
};

struct StateDict {
  std::vector<TorchTensor> tensors;                   ///< in the order of the file
  std::map<std::string_view, TorchStorage> storages;  ///< all that the pickle names, also for other things
  std::string taken_from;        ///< the keys that led to it, "state_dict"; empty: it was the outermost one
  bool prefix_stripped = false;  ///< all names began with DataParallel's "module."
};

/// The globals that state dictionaries, and what is saved along with them, mention.
std::span<const std::string_view> state_dict_globals();

/// The one dictionary of tensors by name in a pickle of torch.save; docs/files.md says which one that is.
/// Texts point into the pickle's bytes. Throws UserError where there is none, or several.
StateDict find_state_dict(const Pickle& pickle, const std::string& origin);

}  // namespace refnorm
