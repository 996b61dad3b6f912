#include <algorithm>

#include <refnorm/base/error.h>
#include <refnorm/base/rle.h>
#include <refnorm/base/run_writer.h>

namespace refnorm {
namespace {

/// Calls `piece(x, from, to)` for the pixels of 1 in each column, in order.
template <class Piece>
void for_each_piece(const Rle& mask, const Piece& piece) {
  std::int64_t x = 0;
  std::int64_t y = 0;
  for (std::size_t i = 0; i < mask.counts.size(); ++i) {
    std::int64_t left = mask.counts[i];
    while (left > 0) {
      const std::int64_t here = std::min(left, mask.height - y);
      if (i % 2 == 1) piece(x, y, y + here);
      left -= here;
      y += here;
      if (y == mask.height) {
        y = 0;
        ++x;
      }
    }
  }
}

/// The runs of a mask, one behind the other.
class RunReader {
 public:
  explicit RunReader(const Rle& mask) : counts_(mask.counts) { pass(0); }
  bool ended() const { return left_ == 0; }
  bool value() const { return at_ % 2 == 1; }
  std::uint32_t left() const { return left_; }
  void pass(std::uint32_t length) {
    left_ -= length;
    while (left_ == 0 && next_ < counts_.size()) {
      at_ = next_;
      left_ = counts_[next_++];
    }
  }

 private:
  const std::vector<std::uint32_t>& counts_;
  std::size_t at_ = 0, next_ = 0;
  std::uint32_t left_ = 0;
};

void check_same_size(const Rle& a, const Rle& b) {
  if (a.height == b.height && a.width == b.width) return;
  fail("masks of {} x {} and {} x {} pixels cannot be merged", a.height, a.width, b.height, b.width);
}

std::uint32_t position(std::int64_t value) {
  return static_cast<std::uint32_t>(value);
}

}  // namespace

Rle encode_mask(std::span<const std::uint8_t> mask, std::int64_t height, std::int64_t width) {
  if (height < 0 || width < 0 || (width > 0 && height > kMostMaskPixels / width) ||
      static_cast<std::int64_t>(mask.size()) != height * width)
    fail("a mask of {} x {} pixels cannot have {} values", height, width, mask.size());
  RunWriter writer;
  for (std::int64_t x = 0; x < width; ++x) {
    auto pixel = static_cast<std::size_t>(x);
    bool value = false;
    std::uint32_t length = 0;
    for (std::int64_t y = 0; y < height; ++y, pixel += static_cast<std::size_t>(width)) {
      if ((mask[pixel] != 0) != value) {
        writer.add(value, length);
        value = !value;
        length = 0;
      }
      ++length;
    }
    writer.add(value, length);
  }
  return {height, width, writer.take()};
}

void paint_mask(const Rle& mask, std::span<std::uint8_t> out) {
  if (static_cast<std::int64_t>(out.size()) != mask.height * mask.width)
    fail("{} values cannot hold a mask of {} x {} pixels", out.size(), mask.height, mask.width);
  for_each_piece(mask, [&](std::int64_t x, std::int64_t from, std::int64_t to) {
    std::uint8_t* pixel = out.data() + from * mask.width + x;
    for (std::int64_t y = from; y < to; ++y, pixel += mask.width) *pixel = 1;
  });
}

std::vector<std::uint8_t> decode_mask(const Rle& mask) {
  std::vector<std::uint8_t> dense(static_cast<std::size_t>(mask.height * mask.width));
  paint_mask(mask, dense);
  return dense;
}

std::int64_t mask_area(const Rle& mask) {
  std::int64_t area = 0;
  for (std::size_t i = 1; i < mask.counts.size(); i += 2) area += mask.counts[i];
  return area;
}

Xywh mask_box(const Rle& mask) {
  return mask_runs(mask).box;
}

Rle merged(const Rle& a, const Rle& b, Merge how) {
  check_same_size(a, b);
  RunReader from_a(a);
  RunReader from_b(b);
  RunWriter writer;
  while (!from_a.ended() && !from_b.ended()) {
    const std::uint32_t length = std::min(from_a.left(), from_b.left());
    writer.add(how == Merge::kUnion ? from_a.value() || from_b.value() : from_a.value() && from_b.value(),
               length);
    from_a.pass(length);
    from_b.pass(length);
  }
  return {a.height, a.width, writer.take()};
}

Rle mirrored(const Rle& mask) {
  // Pieces of the columns, to be written in the other order of columns and the same within each.
  struct Piece {
    std::int64_t x, from, to;
  };
  std::vector<Piece> pieces;
  for_each_piece(mask, [&](std::int64_t x, std::int64_t from, std::int64_t to) {
    pieces.push_back({mask.width - 1 - x, from, to});
  });
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.x < b.x; });
  RunWriter writer;
  std::int64_t done = 0;
  for (const Piece& piece : pieces) {
    const std::int64_t begin = piece.x * mask.height + piece.from;
    writer.add(false, position(begin - done));
    writer.add(true, position(piece.to - piece.from));
    done = begin + piece.to - piece.from;
  }
  writer.add(false, position(mask.height * mask.width - done));
  return {mask.height, mask.width, writer.take()};
}

MaskRuns mask_runs(const Rle& mask) {
  MaskRuns found{mask.height, mask.width, 0, {}, {}};
  found.runs.reserve(mask.counts.size() / 2);
  std::int64_t begin = 0;
  std::int64_t left = mask.width;
  std::int64_t top = mask.height;
  std::int64_t right = 0;
  std::int64_t bottom = 0;
  for (std::size_t i = 0; i < mask.counts.size(); ++i) {
    const std::int64_t end = begin + mask.counts[i];
    if (i % 2 == 1 && end > begin) {
      found.runs.emplace_back(position(begin), position(end));
      found.area += end - begin;
      const std::int64_t first = begin / mask.height;
      const std::int64_t last = (end - 1) / mask.height;
      left = std::min(left, first);
      right = std::max(right, last + 1);
      // A run that goes on in the next column has the last row of one and the first row of the other.
      top = std::min(top, first < last ? 0 : begin % mask.height);
      bottom = std::max(bottom, first < last ? mask.height : (end - 1) % mask.height + 1);
    }
    begin = end;
  }
  if (found.area > 0) {
    found.box = {static_cast<double>(left), static_cast<double>(top), static_cast<double>(right - left),
                 static_cast<double>(bottom - top)};
  }
  return found;
}

}  // namespace refnorm
