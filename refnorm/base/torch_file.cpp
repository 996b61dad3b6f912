#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include <refnorm/base/error.h>
#include <refnorm/base/pickle.h>
#include <refnorm/base/state_dict.h>
#include <refnorm/base/text.h>
#include <refnorm/base/torch_file.h>
#include <refnorm/base/torch_storages.h>
#include <refnorm/base/zip_archive.h>

namespace refnorm {
namespace {

constexpr std::string_view kPickleRecord = "data.pkl";
constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr std::int64_t kLegacyProtocol = 1001;
constexpr std::size_t kLengthBytes = 8;

class ZipStorages : public StorageBytes {
 public:
  ZipStorages(const ZipArchive& archive, std::string folder, const std::string& origin)
      : archive_(archive), folder_(std::move(folder)), origin_(origin) {}

  std::string_view get(std::string_view key, std::uint64_t size) override {
    const std::string name = fmt::format("{}data/{}", folder_, key);
    const auto record = archive_.sizes().find(name);
    if (record == archive_.sizes().end()) {
      user_error("{}: storage '{}' is missing: there is no record '{}'", origin_, printable(key),
                 printable(name));
    }
    if (record->second != size) {
      user_error("{}: storage '{}' has {} bytes, expected {}", origin_, printable(key), record->second, size);
    }
    const auto [place, fresh] = held_.try_emplace(std::string(key));
    if (fresh) place->second = archive_.read(name);
    return place->second;
  }

  void release(std::string_view key) override { held_.erase(std::string(key)); }

 private:
  const ZipArchive& archive_;
  std::string folder_;
  const std::string& origin_;
  std::map<std::string, std::string> held_;
};

/// The folder that everything lies in has the name that the file had when it was written.
std::string folder_of(const ZipArchive& archive, const std::string& origin) {
  std::vector<std::string> folders;
  for (const auto& [name, size] : archive.sizes()) {
    const std::size_t slash = name.find('/');
    if (slash != std::string::npos && name.substr(slash + 1) == kPickleRecord) {
      folders.push_back(name.substr(0, slash + 1));
    }
  }
  if (folders.size() != 1) {
    user_error("{}: a zip file with {} records FOLDER/data.pkl, expected the one that torch.save writes",
               origin, folders.empty() ? "no" : "several");
  }
  if (archive.sizes().contains(folders[0] + "constants.pkl")) {
    user_error("{}: a TorchScript program (torch.jit.save), expected a state dictionary (torch.save)",
               origin);
  }
  return folders[0];
}

/// Written since torch 2.1; before, all machines of note were little-endian.
void check_byte_order(const ZipArchive& archive, const std::string& folder, const std::string& origin) {
  const std::string name = folder + "byteorder";
  if (!archive.sizes().contains(name)) return;
  const std::string order = archive.read(name);
  if (order != "little") {
    user_error("{}: its byte order is '{}', expected 'little'; load and save it on such a machine", origin,
               printable(order));
  }
}

class LegacyStorages : public StorageBytes {
 public:
  LegacyStorages(std::map<std::string_view, std::string_view> storages, const std::string& origin)
      : storages_(std::move(storages)), origin_(origin) {}

  std::string_view get(std::string_view key, std::uint64_t) override {
    const auto storage = storages_.find(key);
    if (storage == storages_.end()) user_error("{}: storage '{}' is missing", origin_, printable(key));
    return storage->second;
  }

  void release(std::string_view) override {}

 private:
  std::map<std::string_view, std::string_view> storages_;
  const std::string& origin_;
};

/// A file of the format before 1.6, taken from the front.
class LegacyFile {
 public:
  LegacyFile(std::string_view bytes, const std::string& origin) : rest_(bytes), origin_(origin) {}

  Pickle next_pickle(std::span<const std::string_view> globals) {
    Pickle pickle = parse_pickle(rest_, globals, origin_);
    rest_.remove_prefix(pickle.size);
    return pickle;
  }

  void check_header() {
    const Pickle magic = next_pickle({});
    if (magic.root.kind != PickleValue::Kind::kLongInteger || magic.texts[0] != kMagic) {
      user_error("{}: a pickle, but not one that torch.save wrote", origin_);
    }
    const Pickle protocol = next_pickle({});
    if (protocol.root.kind != PickleValue::Kind::kInteger || protocol.root.number != kLegacyProtocol) {
      user_error("{}: of another version of torch.save's format, expected {}", origin_, kLegacyProtocol);
    }
    const Pickle system = next_pickle({});
    const PickleNode* facts = system.node(system.root, PickleNode::Kind::kDict);
    for (std::size_t i = 0; facts != nullptr && i + 1 < facts->items.size(); i += 2) {
      const std::string_view* name = system.text(facts->items[i]);
      const PickleValue fact = facts->items[i + 1];
      if (name != nullptr && *name == "little_endian" && fact.kind == PickleValue::Kind::kBool &&
          fact.number == 1) {
        return;
      }
    }
    user_error("{}: does not say that it is little-endian, expected that; load and save it on such a machine",
               origin_);
  }

  /// The last pickle lists the storages; each follows with the number of its elements before it.
  std::map<std::string_view, std::string_view> storages(const StateDict& dictionary) {
    const Pickle keys = next_pickle({});
    const PickleNode* list = keys.node(keys.root, PickleNode::Kind::kList);
    if (list == nullptr) user_error("{}: the storages are not listed behind the tensors", origin_);
    std::map<std::string_view, std::string_view> storages;
    for (const PickleValue item : list->items) {
      const std::string_view* key = keys.text(item);
      const auto described = key != nullptr ? dictionary.storages.find(*key) : dictionary.storages.end();
      if (described == dictionary.storages.end()) {
        user_error("{}: storage '{}' is listed, but of no tensor", origin_,
                   key != nullptr ? printable(*key) : "?");
      }
      if (!storages.emplace(*key, storage(described->first, described->second)).second) {
        user_error("{}: storage '{}' is listed twice", origin_, printable(*key));
      }
    }
    if (!rest_.empty()) user_error("{}: {} bytes follow the last storage", origin_, rest_.size());
    return storages;
  }

 private:
  std::string_view storage(std::string_view key, const TorchStorage& described) {
    if (rest_.size() < kLengthBytes) user_error("{}: cut short before storage '{}'", origin_, printable(key));
    std::uint64_t elements = 0;
    for (std::size_t i = kLengthBytes; i-- > 0;)
      elements = elements << 8 | static_cast<unsigned char>(rest_[i]);
    rest_.remove_prefix(kLengthBytes);
    if (elements != static_cast<std::uint64_t>(described.elements)) {
      user_error("{}: storage '{}' has {} elements, expected {}", origin_, printable(key), elements,
                 described.elements);
    }
    const auto size = static_cast<std::uint64_t>(*dtype_size(described.dtype));
    if (elements > rest_.size() / size) {
      user_error("{}: cut short: storage '{}' has {} elements of {} bytes, and {} bytes are left", origin_,
                 printable(key), elements, size, rest_.size());
    }
    const std::string_view bytes = rest_.substr(0, elements * size);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }

  std::string_view rest_;
  const std::string& origin_;
};

}  // namespace

Safetensors parse_torch_zip(std::string_view bytes, const std::string& origin) {
  const ZipArchive archive(bytes, origin);
  const std::string folder = folder_of(archive, origin);
  check_byte_order(archive, folder, origin);
  const std::string pickled = archive.read(folder + std::string(kPickleRecord));
  const Pickle pickle = parse_pickle(pickled, state_dict_globals(), origin);
  if (pickle.size != pickled.size()) {
    user_error("{}: {} bytes follow the pickle", origin, pickled.size() - pickle.size);
  }
  ZipStorages storages(archive, folder, origin);
  return copy_tensors(find_state_dict(pickle, origin), storages, bytes.size(), origin);
}

Safetensors parse_torch_legacy(std::string_view bytes, const std::string& origin) {
  LegacyFile file(bytes, origin);
  file.check_header();
  const Pickle pickle = file.next_pickle(state_dict_globals());
  const StateDict dictionary = find_state_dict(pickle, origin);
  LegacyStorages storages(file.storages(dictionary), origin);
  return copy_tensors(dictionary, storages, bytes.size(), origin);
}

}  // namespace refnorm
