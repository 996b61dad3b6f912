#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct zip;

namespace refnorm {

/// The records of a zip file in memory, as torch.save writes them: neither compressed nor encrypted, so that
/// they take no more than the file together. Nothing is unpacked to disk.
class ZipArchive {
 public:
  /// `bytes` must outlive it. Throws UserError of one line that names `origin`, also where two records have
  /// the same name or share bytes.
  ZipArchive(std::string_view bytes, const std::string& origin);

  /// Sizes by name.
  const std::map<std::string, std::uint64_t>& sizes() const { return sizes_; }

  /// A record that is in sizes(). Throws UserError where its checksum does not agree.
  std::string read(const std::string& name) const;

 private:
  struct Discard {
    void operator()(zip* archive) const;
  };

  std::string origin_;
  std::unique_ptr<zip, Discard> archive_;
  std::map<std::string, std::uint64_t> sizes_;
  std::map<std::string, std::uint64_t> places_;
};

}  // namespace refnorm
