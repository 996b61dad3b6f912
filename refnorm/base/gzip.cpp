#include <algorithm>
#include <utility>

#include <zlib.h>

#include <refnorm/base/error.h>
#include <refnorm/base/gzip.h>

namespace refnorm {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 16;
constexpr std::size_t kMostInput = std::size_t{1} << 30;  // zlib counts in 32 bits
constexpr int kGzipOnly = 16 + MAX_WBITS;

}  // namespace

bool is_gzip(std::string_view bytes) {
  return bytes.starts_with("\x1f\x8b");
}

Gunzip::Gunzip(std::string_view compressed, std::string origin)
    : origin_(std::move(origin)), rest_(compressed), stream_(std::make_unique<z_stream_s>()) {
  if (inflateInit2(stream_.get(), kGzipOnly) != Z_OK) fail("{}: zlib cannot be used", origin_);
}

Gunzip::~Gunzip() {
  inflateEnd(stream_.get());
}

std::size_t Gunzip::read(std::size_t most, std::string& out) {
  const std::size_t before = out.size();
  while (!ended_ && out.size() - before < most) {
    const std::size_t start = out.size();
    const std::size_t room = std::min(most - (start - before), kPiece);
    const std::size_t input = std::min(rest_.size(), kMostInput);
    out.resize(start + room);
    // zlib does not write to its input; next_in lacks the const without ZLIB_CONST.
    stream_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest_.data()));
    stream_->avail_in = static_cast<uInt>(input);
    stream_->next_out = reinterpret_cast<Bytef*>(out.data() + start);
    stream_->avail_out = static_cast<uInt>(room);
    const int state = inflate(stream_.get(), Z_NO_FLUSH);
    out.resize(start + room - stream_->avail_out);
    rest_.remove_prefix(input - stream_->avail_in);
    if (state == Z_STREAM_END) {
      next_member();
    } else if (state == Z_BUF_ERROR || (state == Z_OK && rest_.empty() && stream_->avail_out > 0)) {
      user_error("{}: cut short, the gzip data end in the middle", origin_);
    } else if (state != Z_OK) {
      user_error("{}: damaged gzip data ({})", origin_,
                 stream_->msg != nullptr ? stream_->msg : "not inflatable");
    }
  }
  return out.size() - before;
}

void Gunzip::next_member() {
  if (rest_.empty()) {
    ended_ = true;
    return;
  }
  if (!is_gzip(rest_)) user_error("{}: {} bytes follow the end of the gzip data", origin_, rest_.size());
  inflateReset(stream_.get());
}

std::string gunzip(std::string_view compressed, const std::string& origin, std::size_t largest) {
  Gunzip reader(compressed, origin);
  std::string content;
  reader.read(largest, content);
  std::string more;
  if (reader.read(1, more) != 0) user_error("{}: inflates to more than {} bytes", origin, largest);
  return content;
}

}  // namespace refnorm
