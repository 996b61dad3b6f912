#include <algorithm>
#include <cstddef>
#include <string_view>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/gzip.h>
#include <refnorm/base/text.h>
#include <refnorm/data/idx.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMagicBytes = 4;
constexpr std::size_t kExtentBytes = 4;
constexpr std::uint8_t kUnsignedByte = 0x08;
constexpr std::uint8_t kLargestLabel = 9;
// Deflate shrinks at most to 1/1032: more cannot lie in a compressed file, and need not be waited for.
constexpr std::int64_t kLargestRatio = 1032;
constexpr std::int64_t kLargestInflated = std::int64_t{4} << 30;

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return printable(fmt::format("{}", fmt::join(shape, " x ")));
}

/// How many dimensions the magic number announces.
std::size_t parse_magic(std::string_view bytes, const std::string& file) {
  if (bytes.size() < kMagicBytes) {
    user_error("{}: cut short, an IDX file begins with 4 bytes of magic number and this one has {}", file,
               bytes.size());
  }
  const std::uint32_t magic = big_endian(bytes);
  if (magic >> 16 != 0) {
    user_error(
        "{}: not an IDX file, its magic number is 0x{:08x} and 0x00000803 (images) or 0x00000801 (labels) "
        "was expected",
        file, magic);
  }
  const auto kind = static_cast<unsigned char>(bytes[2]);
  if (kind != kUnsignedByte) {
    user_error("{}: an IDX file of elements of kind 0x{:02x}, and unsigned bytes (0x08) were expected", file,
               kind);
  }
  const std::size_t dimensions = static_cast<unsigned char>(bytes[3]);
  if (dimensions == 0) user_error("{}: an IDX file without dimensions, and at least one was expected", file);
  return dimensions;
}

std::vector<std::int64_t> parse_shape(std::string_view extents, std::size_t dimensions,
                                      const std::string& file) {
  if (extents.size() < dimensions * kExtentBytes) {
    user_error("{}: cut short, its header announces {} dimensions and ends in the middle of their sizes",
               file, dimensions);
  }
  std::vector<std::int64_t> shape;
  for (std::size_t i = 0; i < dimensions; ++i) shape.push_back(big_endian(extents.substr(i * kExtentBytes)));
  return shape;
}

std::int64_t checked_count(const std::vector<std::int64_t>& shape, const std::string& file) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent == 0)
      user_error("{}: empty ({}), and at least one element was expected", file, shape_text(shape));
    if (__builtin_mul_overflow(count, extent, &count)) {
      user_error("{}: damaged, its header claims the impossible size {}", file, shape_text(shape));
    }
  }
  return count;
}

IdxArray read_plain(std::string_view bytes, const std::string& file) {
  const std::size_t dimensions = parse_magic(bytes, file);
  bytes.remove_prefix(kMagicBytes);
  IdxArray array;
  array.shape = parse_shape(bytes, dimensions, file);
  bytes.remove_prefix(dimensions * kExtentBytes);
  const std::int64_t count = checked_count(array.shape, file);
  if (static_cast<std::size_t>(count) != bytes.size()) {
    user_error("{}: {}, its header ({}) announces {} bytes of data and the file has {}", file,
               static_cast<std::size_t>(count) > bytes.size() ? "cut short" : "too long",
               shape_text(array.shape), count, bytes.size());
  }
  array.bytes.assign(bytes.begin(), bytes.end());
  return array;
}

IdxArray read_compressed(std::string_view compressed, const std::string& file) {
  Gunzip reader(compressed, file);
  std::string header;
  reader.read(kMagicBytes, header);
  const std::size_t dimensions = parse_magic(header, file);
  std::string extents;
  reader.read(dimensions * kExtentBytes, extents);
  IdxArray array;
  array.shape = parse_shape(extents, dimensions, file);
  const std::int64_t count = checked_count(array.shape, file);
  if (count / kLargestRatio > static_cast<std::int64_t>(compressed.size())) {
    user_error("{}: cut short, its header ({}) announces more data than {} compressed bytes can hold", file,
               shape_text(array.shape), compressed.size());
  }
  if (count > kLargestInflated) {
    user_error(
        "{}: its {} bytes of data are more than the {} that are read from a compressed file, unpack it first",
        file, count, kLargestInflated);
  }
  std::string data;
  const std::size_t got = reader.read(static_cast<std::size_t>(count), data);
  if (got < static_cast<std::size_t>(count)) {
    user_error("{}: cut short, its header ({}) announces {} bytes of data and it holds {}", file,
               shape_text(array.shape), count, got);
  }
  std::string more;
  if (reader.read(1, more) != 0) {
    user_error("{}: too long, it holds more than the {} bytes of data that its header ({}) announces", file,
               count, shape_text(array.shape));
  }
  array.bytes.assign(data.begin(), data.end());
  return array;
}

void expect_dimensions(const IdxArray& array, std::size_t expected, const std::string& what,
                       const fs::path& file) {
  if (array.shape.size() == expected) return;
  user_error("{}: not a file of {}, it has {} dimensions ({}) and {} expected", file.string(), what,
             array.shape.size(), shape_text(array.shape),
             expected == 1 ? "1 was" : fmt::format("{} were", expected));
}

std::vector<std::string> spellings(const std::string& part, const std::string& what) {
  const std::string dashed = fmt::format("{}-{}-ubyte", part, what);
  std::string dotted = dashed;
  dotted[part.size() + 1 + what.find('-')] = '.';
  return {dashed, dotted, dashed + ".gz", dotted + ".gz"};
}

/// Empty where none of the names is there.
fs::path first_present(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    std::error_code ignored;
    if (fs::exists(folder / name, ignored)) return folder / name;
  }
  return {};
}

}  // namespace

IdxArray read_idx(const fs::path& file) {
  const std::string bytes = read_file(file);
  return is_gzip(bytes) ? read_compressed(bytes, file.string()) : read_plain(bytes, file.string());
}

IdxDataset read_idx_pair(const fs::path& images, const fs::path& labels) {
  IdxDataset dataset;
  dataset.labels = read_idx(labels);
  expect_dimensions(dataset.labels, 1, "labels", labels);
  const auto& values = dataset.labels.bytes;
  const auto wrong =
      std::find_if(values.begin(), values.end(), [](std::uint8_t label) { return label > kLargestLabel; });
  if (wrong != values.end()) {
    user_error("{}: label {} of sample {}, and 0 to {} were expected", labels.string(), *wrong,
               wrong - values.begin(), kLargestLabel);
  }
  dataset.images = read_idx(images);
  expect_dimensions(dataset.images, 3, "images", images);
  if (dataset.images.shape[0] != dataset.labels.shape[0]) {
    user_error("{}: holds {} images, and {} labels lie in {}", images.string(), dataset.images.shape[0],
               dataset.labels.shape[0], labels.string());
  }
  return dataset;
}

IdxDataset read_mnist_files(const fs::path& folder, const std::string& part, const std::string& dataset) {
  if (part != "train" && part != "t10k")
    user_error("{}: no such part of {}, train or t10k were expected", part, dataset);
  const fs::path images = first_present(folder, spellings(part, "images-idx3"));
  const fs::path labels = first_present(folder, spellings(part, "labels-idx1"));
  if (images.empty() || labels.empty()) {
    std::error_code ignored;
    const std::string missing = !fs::is_directory(folder, ignored) ? "no such folder"
                                : !images.empty()                  ? "the labels are missing"
                                : !labels.empty()                  ? "the images are missing"
                                                                   : "no data";
    user_error(
        "{}: {}, {}-images-idx3-ubyte and {}-labels-idx1-ubyte were expected (or .idx3-ubyte and "
        ".idx1-ubyte, or with "
        ".gz); `refnorm fetch {} --to {}` gets them",
        folder.string(), missing, part, part, dataset, folder.string());
  }
  return read_idx_pair(images, labels);
}

}  // namespace refnorm::data
