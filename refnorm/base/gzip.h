#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct z_stream_s;

namespace refnorm {

/// Whether `bytes` begin as a gzip file does.
bool is_gzip(std::string_view bytes);

/// Inflates a gzip file (of one or several members) piece by piece, so that a reader stops where it has
/// enough: what a small file inflates to has no bound.
class Gunzip {
 public:
  /// `compressed` must outlive the reader; `origin` names the file in errors.
  Gunzip(std::string_view compressed, std::string origin);
  ~Gunzip();
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;

  /// Appends up to `most` further bytes to `out` and says how many. Fewer than `most` come only at the end,
  /// when length and CRC have been checked. Throws UserError where the file is damaged or cut short. Memory
  /// grows with what comes, not with `most`.
  std::size_t read(std::size_t most, std::string& out);

 private:
  void next_member();

  std::string origin_;
  std::string_view rest_;
  std::unique_ptr<z_stream_s> stream_;
  bool ended_ = false;
};

/// The whole content. Throws UserError also where it is larger than `largest` bytes.
std::string gunzip(std::string_view compressed, const std::string& origin, std::size_t largest);

}  // namespace refnorm
