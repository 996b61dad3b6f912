#include "tests/base/torch_writer.h"

#include <zlib.h>

namespace refnorm::testing {

using namespace std::string_literals;

std::string little(std::uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i, value >>= 8) bytes += static_cast<char>(value & 0xff);
  return bytes;
}

PickleWriter& PickleWriter::raw(std::string_view operations) {
  operations_ += operations;
  return *this;
}

PickleWriter& PickleWriter::text(std::string_view text) {
  return raw("X").raw(little(text.size(), 4)).raw(text);
}

PickleWriter& PickleWriter::integer(std::int64_t value) {
  if (value >= 0 && value < 256) return raw("K").raw(little(static_cast<std::uint64_t>(value), 1));
  return raw("\x8a\x08").raw(little(static_cast<std::uint64_t>(value), 8));
}

PickleWriter& PickleWriter::integers(const std::vector<std::int64_t>& values) {
  raw("(");
  for (const std::int64_t value : values) integer(value);
  return raw("t");
}

PickleWriter& PickleWriter::global(std::string_view module, std::string_view name) {
  return raw("c").raw(module).raw("\n").raw(name).raw("\n");
}

PickleWriter& PickleWriter::ordered_dict() {
  return global("collections", "OrderedDict").raw(")R");
}

PickleWriter& PickleWriter::storage(std::string_view type, std::string_view key, std::int64_t elements) {
  return raw("(").text("storage").global("torch", type).text(key).text("cpu").integer(elements).raw("tQ");
}

PickleWriter& PickleWriter::legacy_storage(std::string_view type, std::string_view key,
                                           std::int64_t elements) {
  return raw("(").text("storage").global("torch", type).text(key).text("cpu").integer(elements).raw("NtQ");
}

PickleWriter& PickleWriter::tensor(const View& view) {
  global("torch._utils", "_rebuild_tensor_v2").raw("(");
  if (view.legacy) {
    legacy_storage(view.type, view.key, view.elements);
  } else {
    storage(view.type, view.key, view.elements);
  }
  return integer(view.offset)
      .integers(view.shape)
      .integers(view.strides)
      .raw("\x89")
      .ordered_dict()
      .raw("tR");
}

std::string PickleWriter::done() const {
  return "\x80\x02" + operations_ + ".";
}

std::string zip_of(const std::vector<ZipRecord>& records) {
  std::string file;
  std::string directory;
  for (const ZipRecord& record : records) {
    const auto computed = static_cast<std::uint32_t>(crc32(
        0, reinterpret_cast<const Bytef*>(record.bytes.data()), static_cast<uInt>(record.bytes.size())));
    // Version, flags, method, time and date, checksum, both sizes, length of the name, no extra field.
    const std::string common =
        little(10, 2) + little(static_cast<std::uint64_t>(record.flags), 2) +
        little(static_cast<std::uint64_t>(record.method), 2) + little(0, 4) +
        little(record.checksum.value_or(computed), 4) + little(record.size.value_or(record.bytes.size()), 4) +
        little(record.size.value_or(record.bytes.size()), 4) + little(record.name.size(), 2) + little(0, 2);
    // Then no comment, disk 0, no attributes, and where the record begins.
    directory += "PK\x01\x02" + little(10, 2) + common + little(0, 10) + little(file.size(), 4) + record.name;
    file += "PK\x03\x04" + common + record.name + record.bytes;
  }
  return file + directory + "PK\x05\x06" + little(0, 4) + little(records.size(), 2) +
         little(records.size(), 2) + little(directory.size(), 4) + little(file.size(), 4) + little(0, 2);
}

std::string torch_zip(const std::string& pickle,
                      const std::vector<std::pair<std::string, std::string>>& storages) {
  std::vector<ZipRecord> records{{"archive/data.pkl", pickle}};
  for (const auto& [key, bytes] : storages) records.push_back({"archive/data/" + key, bytes});
  records.push_back({"archive/version", "3\n"});
  return zip_of(records);
}

std::string legacy_header(bool little_endian) {
  PickleWriter system;
  system.raw("}(")
      .text("protocol_version")
      .raw("M\xe9\x03")
      .text("little_endian")
      .raw(little_endian ? "\x88" : "\x89");
  system.text("type_sizes").raw("}").text("int").integer(4).raw("su");
  return "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s + "\x80\x02M\xe9\x03." + system.done();
}

std::string torch_legacy(const std::string& pickle, const std::vector<LegacyStorage>& storages) {
  PickleWriter keys;
  keys.raw("](");
  for (const LegacyStorage& storage : storages) keys.text(storage.key);
  std::string file = legacy_header() + pickle + keys.raw("e").done();
  for (const LegacyStorage& storage : storages) file += little(storage.elements, 8) + storage.bytes;
  return file;
}

std::string small_torch_file(bool legacy) {
  PickleWriter pickle;
  pickle.ordered_dict().raw("(");
  pickle.text("w").tensor({"FloatStorage", "0", 6, 0, {2, 3}, {3, 1}, legacy});
  pickle.text("n").tensor({"LongStorage", "1", 1, 0, {}, {}, legacy}).raw("u");
  // 1.0f to 6.0f
  const std::string w = "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40\0\0\xc0\x40"s;
  const std::string n = "\x07\0\0\0\0\0\0\0"s;
  if (legacy) return torch_legacy(pickle.done(), {{"0", 6, w}, {"1", 1, n}});
  return torch_zip(pickle.done(), {{"0", w}, {"1", n}});
}

}  // namespace refnorm::testing
