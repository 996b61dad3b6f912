#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include <refnorm/base/error.h>
#include <refnorm/base/json.h>
#include <refnorm/base/state_dict.h>
#include <refnorm/base/text.h>
#include <refnorm/base/torch_pickle.h>

namespace refnorm {
namespace {

constexpr std::string_view kParallelPrefix = "module.";

// Where the training programs of the field put the weights, and their moving average over the training.
constexpr auto kWeights =
    std::to_array<std::string_view>({"state_dict", "model_state_dict", "model_state", "model", "module",
                                     "net", "network", "weights", "params"});
constexpr auto kAverages = std::to_array<std::string_view>(
    {"state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "params_ema"});

/// An entry of the outermost dictionary that is a dictionary of tensors itself.
struct Candidate {
  std::string name;
  PickleValue value;
};

class Finder {
 public:
  Finder(const Pickle& pickle, const std::string& origin)
      : pickle_(pickle), origin_(origin), holds_tensors_(pickle.nodes.size()) {}

  StateDict find() {
    StateDict found;
    for (const PickleNode& node : pickle_.nodes) {
      if (node.kind == PickleNode::Kind::kPersistent)
        add_storage(found, read_storage(pickle_, node, origin_));
    }
    PickleValue dictionary = pickle_.root;
    if (const auto candidate = chosen(checked_items(dictionary))) {
      found.taken_from = candidate->name;
      dictionary = candidate->value;
    }
    for (const auto& [key, value] : checked_items(dictionary)) {
      if (is_tensor(pickle_, value)) found.tensors.push_back(tensor(key, value));
    }
    if (found.tensors.empty()) user_error("{}: holds no tensors, expected a dictionary of them", origin_);
    strip_prefix(found);
    return found;
  }

 private:
  void add_storage(StateDict& found, const StorageView& view) const {
    const auto [place, added] = found.storages.emplace(view.key, view.storage);
    if (!added &&
        (place->second.dtype != view.storage.dtype || place->second.elements != view.storage.elements)) {
      user_error("{}: storage '{}' has {} elements of {} here and {} of {} there", origin_,
                 printable(view.key), place->second.elements, place->second.dtype, view.storage.elements,
                 view.storage.dtype);
    }
  }

  /// Of two entries of one name, Python would keep the later one.
  PickleItems checked_items(PickleValue value) const {
    const auto items = items_of(pickle_, value);
    if (!items && is_tensor(pickle_, value)) {
      user_error("{}: holds one tensor, expected a dictionary of tensors by name", origin_);
    }
    if (!items) user_error("{}: holds no dictionary, expected one of tensors by name", origin_);
    std::set<std::string_view> names;
    for (const auto& [key, of_key] : *items) {
      const std::string_view* name = pickle_.text(key);
      if (name != nullptr && !names.insert(*name).second) {
        user_error("{}: the name '{}' stands twice in one dictionary", origin_, printable(*name));
      }
    }
    return *items;
  }

  /// Remembered, since a small pickle may mention a large dictionary again and again.
  bool holds_tensors(PickleValue value) {
    if (value.kind != PickleValue::Kind::kNode) return false;
    std::optional<bool>& known = holds_tensors_[static_cast<std::size_t>(value.number)];
    if (!known) {
      const auto items = items_of(pickle_, value);
      known = items && std::any_of(items->begin(), items->end(),
                                   [&](const auto& item) { return is_tensor(pickle_, item.second); });
    }
    return *known;
  }

  /// The entry to go into; nothing where the outermost dictionary is the one.
  std::optional<Candidate> chosen(const PickleItems& items) {
    std::vector<Candidate> candidates;
    for (const auto& [key, value] : items) {
      if (!holds_tensors(value)) continue;
      const std::string_view* name = pickle_.text(key);
      candidates.push_back({name != nullptr ? std::string(*name) : "a number", value});
    }
    if (candidates.empty()) return std::nullopt;
    for (const std::span<const std::string_view> usual :
         {std::span<const std::string_view>(kWeights), std::span<const std::string_view>(kAverages)}) {
      std::vector<Candidate> named;
      std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(named),
                   [&](const Candidate& one) {
                     return std::find(usual.begin(), usual.end(), one.name) != usual.end();
                   });
      if (named.size() == 1) return named[0];
      if (named.size() > 1) ambiguous(named);
    }
    const bool beside = std::any_of(items.begin(), items.end(),
                                    [&](const auto& item) { return is_tensor(pickle_, item.second); });
    if (candidates.size() > 1 || beside) ambiguous(candidates);
    return candidates[0];
  }

  [[noreturn]] void ambiguous(const std::vector<Candidate>& candidates) const {
    std::vector<std::string> names;
    for (const Candidate& candidate : candidates) {
      names.push_back(fmt::format("'{}'", printable(candidate.name)));
      if (names.size() == 4) break;
    }
    user_error(
        "{}: which tensors are meant? There are dictionaries of them at {}{}; save the one that is meant by "
        "itself",
        origin_, join(names, ", "), candidates.size() == 1 ? " and tensors beside it" : "");
  }

  TorchTensor tensor(PickleValue key, PickleValue value) const {
    const std::string_view* name = pickle_.text(key);
    if (name == nullptr) user_error("{}: a tensor is named by what is no text", origin_);
    if (!is_utf8(*name)) user_error("{}: the name '{}' is not UTF-8", origin_, printable(*name));
    TorchTensor made = read_tensor(pickle_, value, fmt::format("{}: tensor {}", origin_, printable(*name)));
    made.name = *name;
    return made;
  }

  static void strip_prefix(StateDict& found) {
    found.prefix_stripped =
        std::all_of(found.tensors.begin(), found.tensors.end(), [](const TorchTensor& tensor) {
          return tensor.name.size() > kParallelPrefix.size() && tensor.name.starts_with(kParallelPrefix);
        });
    if (!found.prefix_stripped) return;
    for (TorchTensor& tensor : found.tensors) tensor.name.erase(0, kParallelPrefix.size());
  }

  const Pickle& pickle_;
  const std::string& origin_;
  std::vector<std::optional<bool>> holds_tensors_;
};

}  // namespace

StateDict find_state_dict(const Pickle& pickle, const std::string& origin) {
  return Finder(pickle, origin).find();
}

}  // namespace refnorm
