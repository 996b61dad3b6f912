#include <zip.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/base/zip_archive.h>

namespace refnorm {
namespace {

struct CloseRecord {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

void ZipArchive::Discard::operator()(zip* archive) const {
  zip_discard(archive);
}

ZipArchive::ZipArchive(std::string_view bytes, const std::string& origin) : origin_(origin) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  if (source != nullptr) archive_.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  if (!archive_) {
    if (source != nullptr) zip_source_free(source);
    user_error("{}: a zip file that is damaged or cut short ({})", origin, reason);
  }
  std::uint64_t total = 0;
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t record;
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                     ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    const auto place = static_cast<zip_uint64_t>(i);
    if (zip_stat_index(archive_.get(), place, ZIP_FL_ENC_RAW, &record) != 0 ||
        (record.valid & kNeeded) != kNeeded) {
      user_error("{}: a zip file with a damaged directory", origin);
    }
    const std::string name = record.name;
    if (record.comp_method != ZIP_CM_STORE || record.encryption_method != ZIP_EM_NONE) {
      user_error("{}: record '{}' is {}, expected plain as torch.save writes it", origin, printable(name),
                 record.encryption_method != ZIP_EM_NONE ? "encrypted" : "compressed");
    }
    if (record.size != record.comp_size || record.size > bytes.size() - total) {
      user_error("{}: record '{}' has {} bytes, more than the zip file holds beside the others", origin,
                 printable(name), record.size);
    }
    total += record.size;
    places_[name] = place;
    if (!sizes_.emplace(name, record.size).second) {
      user_error("{}: two records of the zip file are named '{}'", origin, printable(name));
    }
  }
}

std::string ZipArchive::read(const std::string& name) const {
  const std::unique_ptr<zip_file_t, CloseRecord> file(zip_fopen_index(archive_.get(), places_.at(name), 0));
  if (!file) {
    user_error("{}: record '{}' cannot be read ({})", origin_, printable(name), zip_strerror(archive_.get()));
  }
  std::string bytes(sizes_.at(name), '\0');
  std::size_t filled = 0;
  // The checksum is compared when the end is met: one more byte is asked for than there should be.
  char beyond = 0;
  while (true) {
    const bool whole = filled == bytes.size();
    const zip_int64_t got =
        zip_fread(file.get(), whole ? &beyond : bytes.data() + filled, whole ? 1 : bytes.size() - filled);
    if (got == 0 && whole) return bytes;
    if (got <= 0 || whole) {
      user_error("{}: record '{}' is damaged ({})", origin_, printable(name),
                 got == 0 ? "cut short" : zip_file_strerror(file.get()));
    }
    filled += static_cast<std::size_t>(got);
  }
}

}  // namespace refnorm
