#include <chrono>

#include <gtest/gtest.h>

#include <refnorm/base/torch_file.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"
#include "tests/base/torch_messages.h"
#include "tests/base/torch_writer.h"

// Files whose containers are wrong: dictionaries, zip records, the parts of the format before 1.6.

namespace refnorm {
namespace {

using namespace std::string_literals;
using testing::contains;
using testing::expect_message;
using testing::legacy_header;
using testing::legacy_message;
using testing::little;
using testing::pickle_message;
using testing::PickleWriter;
using testing::small_torch_file;
using testing::torch_legacy;
using testing::torch_zip;
using testing::user_error_of;
using testing::zip_message;
using testing::zip_of;
using testing::ZipRecord;

const PickleWriter::View kByte{"ByteStorage", "0", 4, 0, {1}, {1}};

std::string dictionary(const std::string& name) {
  return PickleWriter().raw("}").text(name).tensor(kByte).raw("s").operations();
}

std::string simple_pickle() {
  return PickleWriter().raw(dictionary("x")).done();
}

TEST(TorchDictionaries, WhereThereIsNone) {
  expect_message(pickle_message(PickleWriter().raw("N")), "holds no dictionary");
  expect_message(pickle_message(PickleWriter().raw("](").raw(dictionary("x")).raw("e")),
                 "holds no dictionary");
  expect_message(pickle_message(PickleWriter().tensor(kByte)), "holds one tensor, expected a dictionary");
  expect_message(pickle_message(PickleWriter().raw("}")), "holds no tensors");
  expect_message(pickle_message(PickleWriter().raw("}").text("a").integer(1).raw("s")), "holds no tensors");
  expect_message(
      pickle_message(PickleWriter().global("collections", "Counter").raw(dictionary("x")).raw("\x85R")),
      "holds no dictionary");
  // Too deep: an optimizer's state by itself.
  expect_message(
      pickle_message(
          PickleWriter().raw("}").text("state").raw("}").integer(0).raw(dictionary("m")).raw("ss")),
      "holds no tensors");
}

TEST(TorchDictionaries, WhereThereAreSeveral) {
  const auto several = [](const std::vector<std::string>& names) {
    PickleWriter pickle;
    pickle.raw("}(");
    for (const std::string& name : names) pickle.text(name).raw(dictionary("x"));
    return pickle_message(pickle.raw("u"));
  };
  expect_message(
      several({"generator", "discriminator"}),
      "which tensors are meant? There are dictionaries of them at 'generator', 'discriminator'; save");
  expect_message(several({"model", "other", "state_dict"}), "at 'model', 'state_dict'; save");
  expect_message(several({"ema", "model_ema"}), "at 'ema', 'model_ema'; save");
  expect_message(several({"a", "b", "c", "d", "e", "f"}), "at 'a', 'b', 'c', 'd'; save");
  expect_message(
      pickle_message(
          PickleWriter().raw("}(").text("w").tensor(kByte).text("sub").raw(dictionary("x")).raw("u")),
      "at 'sub' and tensors beside it");
}

TEST(TorchDictionaries, Names) {
  const auto twice = [](const char* first, const char* second) {
    return PickleWriter().raw("}(").text(first).tensor(kByte).text(second).tensor(kByte).raw("u");
  };
  expect_message(pickle_message(twice("w", "w")), "the name 'w' stands twice");
  expect_message(
      pickle_message(PickleWriter().raw("}").text("model").raw(twice("w", "w").operations()).raw("s")),
      "the name 'w' stands twice");
  expect_message(
      pickle_message(
          PickleWriter().raw("}(").text("model").raw("N").text("model").raw(dictionary("x")).raw("u")),
      "the name 'model' stands twice");
  expect_message(pickle_message(PickleWriter().raw("}").integer(1).tensor(kByte).raw("s")),
                 "named by what is no text");
  expect_message(pickle_message(twice("w", "\xff")), "the name '\\xff' is not UTF-8");
  expect_message(pickle_message(twice("w", "\xed\xa0\x80")), "is not UTF-8");  // half of a surrogate pair
  expect_message(pickle_message(PickleWriter().global("collections", "OrderedDict").raw("]N\x61\x85R")),
                 "holds no dictionary");
}

TEST(TorchDictionaries, AStorageDescribedTwice) {
  const auto second = [](const char* type, std::int64_t elements) {
    return PickleWriter()
        .raw("}(")
        .text("a")
        .tensor(kByte)
        .text("b")
        .tensor({type, "0", elements, 0, {1}, {1}})
        .raw("u");
  };
  expect_message(pickle_message(second("CharStorage", 4)),
                 "storage '0' has 4 elements of U8 here and 4 of I8 there");
  expect_message(pickle_message(second("ByteStorage", 2)),
                 "storage '0' has 4 elements of U8 here and 2 of U8 there");
}

TEST(TorchDictionaries, ManyMentionsTakeNoQuadraticTime) {
  // A dictionary of 300,000 numbers, mentioned 300,000 times: 10^11 values, were they looked at each time.
  PickleWriter pickle;
  pickle.raw("}(").text("first").raw("}(");
  for (int i = 0; i < 300'000; ++i) pickle.raw("K\1N");
  pickle.raw("uq\5");
  for (int i = 0; i < 300'000; ++i) pickle.integer(i % 256).raw("h\5");
  const auto begun = std::chrono::steady_clock::now();
  expect_message(pickle_message(pickle.raw("u")), "holds no tensors");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(30));
}

TEST(TorchZip, Records) {
  const std::string pickle = simple_pickle();
  const auto with = [&](std::vector<ZipRecord> records) { return zip_message(zip_of(records)); };
  EXPECT_NO_THROW(parse_torch_zip(zip_of({{"a/data.pkl", pickle}, {"a/data/0", "abcd"}}), "f"));
  expect_message(with({}), "a zip file with no records FOLDER/data.pkl");
  expect_message(with({{"a/data/0", "abcd"}}), "with no records FOLDER/data.pkl");
  expect_message(with({{"data.pkl", pickle}}), "with no records FOLDER/data.pkl");
  expect_message(with({{"a/b/data.pkl", pickle}}), "with no records FOLDER/data.pkl");
  expect_message(with({{"a/data.pkl", pickle}, {"b/data.pkl", pickle}}),
                 "with several records FOLDER/data.pkl");
  expect_message(with({{"a/data.pkl", pickle}, {"a/data.pkl", pickle}}),
                 "two records of the zip file are named 'a/data.pkl'");
  expect_message(with({{"a/data.pkl", pickle}, {"a/constants.pkl", ""}}), "a TorchScript program");
  expect_message(with({{"a/data.pkl", pickle}, {"a/byteorder", "big"}}),
                 "its byte order is 'big', expected 'little'");
  expect_message(with({{"a/data.pkl", pickle}, {"a/byteorder", ""}}), "its byte order is ''");
  expect_message(with({{"a/data.pkl", pickle + "x"}, {"a/data/0", "abcd"}}), "1 bytes follow the pickle");
  expect_message(with({{"a/data.pkl", pickle, 8}}), "record 'a/data.pkl' is compressed, expected plain");
  expect_message(with({{"a/data.pkl", pickle}, {"a/data/0", "abcd", 0, 1}}),
                 "record 'a/data/0' is encrypted");
  expect_message(with({{"a/data.pkl", pickle, 0, 0, 7}}), "record 'a/data.pkl' is damaged (CRC error)");
  expect_message(with({{"a/data.pkl", pickle}, {"a/data/0", "abcd", 0, 0, 7}}),
                 "record 'a/data/0' is damaged (CRC");
  expect_message(with({{"a/data.pkl", pickle}, {"a/data/0", "abcd", 0, 0, {}, 4'000'000'000}}),
                 "record 'a/data/0' has 4000000000 bytes, more than the zip file holds beside the others");
}

TEST(TorchZip, RecordsThatShareBytesAreABomb) {
  // Two directory entries of the same 4,000 bytes: harmless by themselves, a bomb where there are thousands.
  const std::string shared(4'000, 's');
  std::string file = zip_of({{"a/data.pkl", simple_pickle()}, {"a/data/0", shared}});
  const std::size_t directory = file.find("PK\x01\x02");
  const std::size_t entry = file.find("PK\x01\x02", directory + 1);
  const std::size_t end = file.find("PK\x05\x06");
  std::string again = file.substr(entry, end - entry);
  again.back() = '1';
  const std::string both = file.substr(directory, end - directory) + again;
  file = file.substr(0, directory) + both + "PK\x05\x06" + little(0, 4) + little(3, 2) + little(3, 2) +
         little(both.size(), 4) + little(directory, 4) + little(0, 2);
  expect_message(zip_message(file),
                 "record 'a/data/1' has 4000 bytes, more than the zip file holds beside the others");
}

TEST(TorchZip, EveryTruncationIsFound) {
  const std::string whole = small_torch_file();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    expect_message(zip_message(whole.substr(0, size)), "damaged or cut short");
  }
}

TEST(TorchZip, DirectoriesThatClaimMuch) {
  const std::string whole = small_torch_file();
  const std::size_t end = whole.find("PK\x05\x06");
  const auto with = [&](std::size_t at, std::uint64_t value, int width) {
    std::string changed = whole;
    return changed.replace(end + at, static_cast<std::size_t>(width), little(value, width));
  };
  for (const std::uint64_t entries : {0xfffeU, 0xffffU}) {
    std::string changed = with(8, entries, 2);
    changed.replace(end + 10, 2, little(entries, 2));
    zip_message(changed);
  }
  zip_message(with(12, 0xffff'fff0U, 4));
  zip_message(with(16, 0xffff'fff0U, 4));
  // A zip64 directory of 2^40 entries in 2^46 bytes.
  const std::string zip64 = "PK\x06\x06" + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8) +
                            little(1ULL << 40, 8) + little(1ULL << 40, 8) + little(1ULL << 46, 8) +
                            little(0, 8);
  zip_message(whole.substr(0, end) + zip64 + "PK\x06\x07" + little(0, 4) + little(end, 8) + little(1, 4) +
              "PK\x05\x06" + little(0, 4) + std::string(12, '\xff') + little(0, 2));
}

TEST(TorchLegacy, Parts) {
  const std::string pickle =
      PickleWriter().raw("}").text("x").tensor({"ByteStorage", "0", 4, 0, {1}, {1}, true}).raw("s").done();
  const std::string keys = PickleWriter().raw("](").text("0").raw("e").done();
  const std::string begin = legacy_header() + pickle;
  const std::string storage = little(4, 8) + "abcd";
  EXPECT_NO_THROW(parse_torch_legacy(begin + keys + storage, "f"));
  expect_message(legacy_message("\x80\x02N."), "a pickle, but not one that torch.save wrote");
  expect_message(legacy_message("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x18."),
                 "not one that torch.save");
  const std::string magic = legacy_header().substr(0, 15);
  expect_message(legacy_message(magic + "\x80\x02M\xea\x03."),
                 "of another version of torch.save's format, expected 1001");
  expect_message(legacy_message(magic + "\x80\x02M\xe9\x03.\x80\x02}."),
                 "does not say that it is little-endian");
  expect_message(legacy_message(magic + "\x80\x02M\xe9\x03.\x80\x02N."),
                 "does not say that it is little-endian");
  expect_message(legacy_message(legacy_header(false) + pickle), "does not say that it is little-endian");
  expect_message(legacy_message(begin + "\x80\x02N."), "the storages are not listed");
  expect_message(legacy_message(begin + "\x80\x02]."), "storage '0' is missing");
  expect_message(legacy_message(begin + "\x80\x02]K\1a."), "storage '?' is listed, but of no tensor");
  expect_message(legacy_message(begin + PickleWriter().raw("](").text("1").raw("e").done() + storage),
                 "storage '1' is listed, but of no tensor");
  expect_message(legacy_message(begin + PickleWriter().raw("](").text("0").text("0").raw("e").done() +
                                storage + storage),
                 "storage '0' is listed twice");
  expect_message(legacy_message(begin + keys + little(5, 8) + "abcde"),
                 "storage '0' has 5 elements, expected 4");
  expect_message(legacy_message(begin + keys + little(UINT64_MAX, 8)),
                 "has 18446744073709551615 elements, expected 4");
  expect_message(legacy_message(begin + keys + storage + "x"), "1 bytes follow the last storage");
  const std::string huge = PickleWriter()
                               .raw("}")
                               .text("x")
                               .tensor({"DoubleStorage", "0", INT64_MAX, 0, {1}, {1}, true})
                               .raw("s")
                               .done();
  expect_message(legacy_message(legacy_header() + huge + keys + little(INT64_MAX, 8) + "abcd"),
                 "storage '0' has 9223372036854775807 elements of 8 bytes, and 4 bytes are left");
}

TEST(TorchLegacy, EveryTruncationIsFound) {
  const std::string whole = small_torch_file(true);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    expect_message(legacy_message(whole.substr(0, size)), size == 0 ? "cut short" : "");
  }
}

TEST(TorchDamage, EndsInAnErrorOrInSuccess) {
  RandomStream random(21, "damage");
  const std::string zip = small_torch_file();
  const std::string legacy = small_torch_file(true);
  const std::string pickle = simple_pickle();
  const auto try_out = [](auto read) {
    try {
      read();
    } catch (const UserError& error) {
      ASSERT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  };
  for (int i = 0; i < 5000; ++i) {
    try_out([&] { parse_torch_zip(testing::mutate(zip, random), "f"); });
    try_out([&] { parse_torch_legacy(testing::mutate(legacy, random), "f"); });
    // With its checksum right, so that the damage gets past the container.
    try_out([&] { parse_torch_zip(torch_zip(testing::mutate(pickle, random), {{"0", "abcd"}}), "f"); });
  }
}

}  // namespace
}  // namespace refnorm
