#include <refnorm/base/error.h>
#include <refnorm/base/rle.h>
#include <refnorm/base/text.h>

namespace refnorm {
namespace {

constexpr char kFirst = '0', kLast = 'o';  // 64 characters
constexpr int kBits = 5;
constexpr std::int64_t kFive = 0x1f, kMore = 0x20, kNegative = 0x10;
constexpr int kMostGroups = 8;  // 40 bits: more than any difference of two counts takes

/// Checks counts as they come.
class Counts {
 public:
  Counts(std::int64_t height, std::int64_t width, const std::string& origin)
      : height_(height), width_(width), origin_(origin) {
    if (height < 0 || width < 0)
      user_error("{}: a mask of {} x {} pixels, expected sizes of at least 0", origin, height, width);
    if (width > 0 && height > kMostMaskPixels / width)
      user_error("{}: a mask of {} x {} pixels, expected at most {}", origin, height, width, kMostMaskPixels);
    counts_.clear();
  }

  std::size_t size() const { return counts_.size(); }
  std::int64_t operator[](std::size_t i) const { return counts_[i]; }

  void add(std::int64_t count) {
    if (count < 0) user_error("{}: run {} of the RLE is of {} pixels", origin_, counts_.size() + 1, count);
    if (count > height_ * width_ - sum_) {
      user_error("{}: the RLE's runs go beyond the {} pixels of its size, {} x {}", origin_, height_ * width_,
                 height_, width_);
    }
    sum_ += count;
    counts_.push_back(static_cast<std::uint32_t>(count));
  }

  Rle take() {
    if (sum_ != height_ * width_) {
      user_error("{}: the RLE's runs are {} pixels, expected the {} of its size, {} x {}", origin_, sum_,
                 height_ * width_, height_, width_);
    }
    if (counts_.empty()) counts_.push_back(0);
    return {height_, width_, std::move(counts_)};
  }

 private:
  std::int64_t height_, width_, sum_ = 0;
  const std::string& origin_;
  std::vector<std::uint32_t> counts_;
};

}  // namespace

std::string rle_text(const Rle& mask) {
  std::string text;
  text.reserve(mask.counts.size() * 2);
  for (std::size_t i = 0; i < mask.counts.size(); ++i) {
    std::int64_t rest = mask.counts[i];
    if (i > 2) rest -= mask.counts[i - 2];
    for (bool more = true; more;) {
      std::int64_t group = rest & kFive;
      rest >>= kBits;
      // What is left must follow from the sign bit of the last group.
      more = rest != ((group & kNegative) != 0 ? -1 : 0);
      if (more) group |= kMore;
      text += static_cast<char>(kFirst + group);
    }
  }
  return text;
}

Rle rle_from_text(std::string_view text, std::int64_t height, std::int64_t width, const std::string& origin) {
  Counts counts(height, width, origin);
  std::int64_t value = 0;
  int groups = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] < kFirst || text[i] > kLast) {
      user_error("{}: '{}' at place {} is no character of a compressed RLE", origin,
                 printable(text.substr(i, 1)), i + 1);
    }
    const std::int64_t group = text[i] - kFirst;
    value |= (group & kFive) << (kBits * groups++);
    if ((group & kMore) != 0) {
      if (groups == kMostGroups)
        user_error("{}: a run of the RLE, at place {}, is longer than any can be", origin, i + 1);
      continue;
    }
    if ((group & kNegative) != 0) value -= std::int64_t{1} << (kBits * groups);
    if (counts.size() > 2) value += counts[counts.size() - 2];
    counts.add(value);
    value = 0;
    groups = 0;
  }
  if (groups > 0) user_error("{}: the compressed RLE ends within a run", origin);
  return counts.take();
}

Rle rle_from_counts(std::span<const std::int64_t> counts, std::int64_t height, std::int64_t width,
                    const std::string& origin) {
  Counts checked(height, width, origin);
  for (const std::int64_t count : counts) checked.add(count);
  return checked.take();
}

}  // namespace refnorm
