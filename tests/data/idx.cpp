#include <fstream>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/data/idx.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"

namespace refnorm::data {
namespace {

using refnorm::testing::contains;
using refnorm::testing::gzipped;
using refnorm::testing::TemporaryFolder;
using refnorm::testing::user_error_of;
using namespace std::string_literals;

/// An IDX file after the format's page: two zeros, kind of element, number of dimensions, then the sizes as
/// big-endian 32-bit numbers, then the data.
std::string idx(const std::vector<std::uint32_t>& shape, const std::string& data, char kind = 0x08) {
  std::string bytes{0, 0, kind, static_cast<char>(shape.size())};
  for (const std::uint32_t extent : shape) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(extent >> shift & 0xff);
  }
  return bytes + data;
}

class IdxTest : public ::testing::Test {
 protected:
  /// The error for these bytes, which must be the same kind of error where they come compressed.
  std::string error_of(const std::string& bytes) {
    write_file(folder_ / "file", gzipped(bytes));
    const std::string compressed = user_error_of([&] { read_idx(folder_ / "file"); });
    EXPECT_TRUE(contains(compressed, "/file: ")) << compressed;
    write_file(folder_ / "file", bytes);
    const std::string plain = user_error_of([&] { read_idx(folder_ / "file"); });
    EXPECT_TRUE(contains(plain, "/file: ")) << plain;
    return plain + "\n" + compressed;
  }

  /// How often the piece stands in the plain and the compressed error together.
  void expect_in_both(const std::string& bytes, const std::string& piece) {
    const std::string errors = error_of(bytes);
    const std::size_t first = errors.find(piece);
    ASSERT_NE(first, std::string::npos) << errors;
    EXPECT_NE(errors.find(piece, first + 1), std::string::npos) << errors;
  }

  TemporaryFolder folder_;
};

TEST_F(IdxTest, ReadsPlainAndCompressed) {
  const std::string bytes = idx({2, 1, 3}, "abc\0\x80\xff"s);
  for (const std::string& stored :
       {bytes, gzipped(bytes), gzipped(bytes.substr(0, 10)) + gzipped(bytes.substr(10))}) {
    write_file(folder_ / "misleading.gz", stored);  // told apart by content, not by name
    const IdxArray array = read_idx(folder_ / "misleading.gz");
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 1, 3}));
    EXPECT_EQ(array.bytes, (std::vector<std::uint8_t>{'a', 'b', 'c', 0, 0x80, 0xff}));
  }
}

TEST_F(IdxTest, ReadsAFileWrittenByHand) {
  std::string bytes = "\0\0\x08\x01\0\0\x01\x02"s;  // 0x0102 = 258 labels
  bytes.append(258, '\x05');
  write_file(folder_ / "file", bytes);
  const IdxArray array = read_idx(folder_ / "file");
  EXPECT_EQ(array.shape, std::vector<std::int64_t>{258});
  EXPECT_EQ(array.bytes, std::vector<std::uint8_t>(258, 5));
}

TEST_F(IdxTest, WrongMagicNumber) {
  expect_in_both("\x89PNG\r\n\x1a\n", "not an IDX file, its magic number is 0x89504e47");
  expect_in_both("<html>Not Found</html>", "not an IDX file");
  expect_in_both(idx({4}, "abcd", 0x0d), "elements of kind 0x0d, and unsigned bytes (0x08) were expected");
  expect_in_both(idx({}, "a"), "without dimensions");
}

TEST_F(IdxTest, Sizes) {
  expect_in_both(idx({2, 2}, "abc"), "cut short");
  expect_in_both(idx({2, 2}, "abcde"), "too long");
  expect_in_both(idx({0}, ""), "empty (0), and at least one element was expected");
  expect_in_both(idx({5, 0, 28}, ""), "empty (5 x 0 x 28)");
  EXPECT_TRUE(contains(error_of(idx({2, 2}, "abc")), "(2 x 2) announces 4 bytes of data and the file has 3"));
}

TEST_F(IdxTest, HostileHeaders) {
  expect_in_both(idx({0xffffffff, 0xffffffff, 0xffffffff}, "abc"), "impossible size");
  // 2^32·2^32 overflows; two of 2^31 do not (2^62), and cannot lie in so small a file.
  expect_in_both(idx({0x80000000, 0x80000000}, "abc"), "cut short, its header (2147483648 x 2147483648)");
  expect_in_both(idx({0xffffffff}, "abc"), "cut short");
  expect_in_both(idx(std::vector<std::uint32_t>(255, 1), ""), "cut short");
  expect_in_both("\0\0\x08\xff\0\0\0\x01"s, "announces 255 dimensions");
}

TEST_F(IdxTest, EveryTruncation) {
  const std::string bytes = idx({3, 2, 2}, "abcdefghijkl");
  for (std::size_t size = 0; size < bytes.size(); ++size) expect_in_both(bytes.substr(0, size), "cut short");
  const std::string compressed = gzipped(bytes);
  for (std::size_t size = 2; size < compressed.size(); ++size) {
    write_file(folder_ / "file", compressed.substr(0, size));
    EXPECT_TRUE(contains(user_error_of([&] { read_idx(folder_ / "file"); }), "cut short"));
  }
}

TEST_F(IdxTest, GzipBombStopsAtTheHeadersSize) {
  // 100 MB of zeros behind a header that announces 4 bytes: less than a second, and memory for 4 bytes.
  write_file(folder_ / "bomb", gzipped(idx({4}, std::string(100'000'000, '\0'))));
  EXPECT_TRUE(contains(user_error_of([&] { read_idx(folder_ / "bomb"); }), "more than the 4 bytes of data"));
}

TEST_F(IdxTest, DamagedGzip) {
  std::string compressed = gzipped(idx({4}, "abcd"));
  compressed[compressed.size() - 8] = static_cast<char>(compressed[compressed.size() - 8] ^ 1);  // of the CRC
  write_file(folder_ / "file", compressed);
  EXPECT_TRUE(contains(user_error_of([&] { read_idx(folder_ / "file"); }), "file: damaged gzip data"));
  write_file(folder_ / "file", gzipped(idx({4}, "abcd")) + "junk");
  EXPECT_TRUE(contains(user_error_of([&] { read_idx(folder_ / "file"); }), "4 bytes follow the end"));
}

TEST_F(IdxTest, RandomDamageEndsInAnErrorOrInSuccess) {
  const std::string bytes = idx({3, 2, 2}, "abcdefghijkl");
  const std::string compressed = gzipped(bytes);
  RandomStream random(21, "damage");
  for (int i = 0; i < 3000; ++i) {
    const std::string damaged =
        i % 3 == 0 ? testing::mutate(compressed, random) : testing::mutate(bytes, random);
    const std::string stored = i % 3 == 2 ? gzipped(damaged) : damaged;
    std::ofstream(folder_ / "file", std::ios::binary) << stored;  // write_file would sync each one
    try {
      const IdxArray array = read_idx(folder_ / "file");
      std::size_t count = 1;
      for (const std::int64_t extent : array.shape) count *= static_cast<std::size_t>(extent);
      ASSERT_EQ(array.bytes.size(), count);
    } catch (const UserError& error) {
      ASSERT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
}

TEST_F(IdxTest, MissingFile) {
  EXPECT_TRUE(contains(user_error_of([&] { read_idx(folder_ / "no"); }), "no: cannot be read (No such file"));
}

class IdxPairTest : public IdxTest {
 protected:
  std::string pair_error(const std::string& images, const std::string& labels) {
    write_file(folder_ / "images", images);
    write_file(folder_ / "labels", labels);
    return user_error_of([&] { read_idx_pair(folder_ / "images", folder_ / "labels"); });
  }
};

TEST_F(IdxPairTest, ChecksImagesAgainstLabels) {
  const std::string images = idx({2, 1, 2}, "abcd");
  const std::string labels = idx({2}, "\0\x09"s);
  EXPECT_TRUE(
      contains(pair_error(images, idx({3}, "\0\1\2"s)), "images: holds 2 images, and 3 labels lie in"));
  EXPECT_TRUE(
      contains(pair_error(images, idx({2}, "\0\x0a"s)), "labels: label 10 of sample 1, and 0 to 9 were"));
  EXPECT_TRUE(contains(pair_error(labels, labels),
                       "images: not a file of images, it has 1 dimensions (2) and 3 were"));
  EXPECT_TRUE(contains(pair_error(images, images),
                       "labels: not a file of labels, it has 3 dimensions (2 x 1 x 2) and 1 was"));
  write_file(folder_ / "labels", labels);
  const IdxDataset set = read_idx_pair(folder_ / "images", folder_ / "labels");
  EXPECT_EQ(set.images.shape, (std::vector<std::int64_t>{2, 1, 2}));
  EXPECT_EQ(set.labels.bytes, (std::vector<std::uint8_t>{0, 9}));
}

TEST_F(IdxPairTest, MnistFolderInEverySpelling) {
  const std::string images = idx({1, 1, 2}, "ab");
  const std::string labels = idx({1}, "\x07");
  for (const char* separator : {"-", "."}) {
    for (const bool compressed : {false, true}) {
      for (const char* part : {"train", "t10k"}) {
        const TemporaryFolder folder;
        const std::string end = "-ubyte"s + (compressed ? ".gz" : "");
        write_file(folder / (part + "-images"s + separator + "idx3" + end),
                   compressed ? gzipped(images) : images);
        write_file(folder / (part + "-labels"s + separator + "idx1" + end),
                   compressed ? gzipped(labels) : labels);
        const IdxDataset set = read_mnist_files(folder.path(), part);
        EXPECT_EQ(set.images.bytes, (std::vector<std::uint8_t>{'a', 'b'}));
        EXPECT_EQ(set.labels.bytes, std::vector<std::uint8_t>{7});
      }
    }
  }
}

TEST_F(IdxPairTest, MissingMnistFilesAreNamedWithTheCommandThatGetsThem) {
  const std::string folder = folder_.path().string();
  const std::string message = user_error_of([&] { read_mnist_files(folder, "train"); });
  EXPECT_TRUE(contains(
      message, folder + ": no data, train-images-idx3-ubyte and train-labels-idx1-ubyte were expected"));
  EXPECT_TRUE(contains(message, "`refnorm fetch mnist --to " + folder + "`"));
  EXPECT_TRUE(contains(user_error_of([&] { read_mnist_files(folder, "t10k", "fashion-mnist"); }),
                       "fetch fashion-mnist"));
  write_file(folder_ / "train-images-idx3-ubyte", idx({1, 1, 1}, "a"));
  EXPECT_TRUE(contains(user_error_of([&] { read_mnist_files(folder, "train"); }), "the labels are missing"));
  EXPECT_TRUE(
      contains(user_error_of([&] { read_mnist_files(folder_ / "no", "train"); }), "no: no such folder"));
  user_error_of([&] { read_mnist_files(folder, "test"); });
}

}  // namespace
}  // namespace refnorm::data
