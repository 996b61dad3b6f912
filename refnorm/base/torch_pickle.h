#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <refnorm/base/pickle.h>
#include <refnorm/base/state_dict.h>

// What torch's own types look like in a pickle; for state_dict.cpp.

namespace refnorm {

using PickleItems = std::vector<std::pair<PickleValue, PickleValue>>;

/// Keys and values of a dict or an OrderedDict; nothing for other values.
std::optional<PickleItems> items_of(const Pickle& pickle, PickleValue value);

/// Whether it is a tensor or a parameter.
bool is_tensor(const Pickle& pickle, PickleValue value);

/// A storage, or before 0.4 a part of one, as if it were a storage by itself.
struct StorageView {
  std::string_view key;
  TorchStorage storage;
  std::int64_t offset = 0;
  std::int64_t elements = 0;
};

/// What a persistent node stands for; `where` begins the message of the UserError.
StorageView read_storage(const Pickle& pickle, const PickleNode& node, const std::string& where);

/// A tensor without its name.
TorchTensor read_tensor(const Pickle& pickle, PickleValue value, const std::string& where);

}  // namespace refnorm
