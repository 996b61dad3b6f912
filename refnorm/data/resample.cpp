#include <algorithm>
#include <cmath>

#include <refnorm/data/picture_loops.h>
#include <refnorm/data/resample.h>

namespace refnorm::data {

ResizeAxis::ResizeAxis(double begin, double length, std::int64_t size, std::int64_t first, std::int64_t count,
                       std::int64_t lowest, std::int64_t highest) {
  const double step = length / static_cast<double>(size);
  const double reach = std::max(step, 1.0);
  std::vector<double> triangle;
  for (std::int64_t i = first; i < first + count; ++i) {
    const double centre = begin + (static_cast<double>(i) + 0.5) * step;
    const auto nearest = [&](double place) {
      return std::clamp(static_cast<std::int64_t>(std::floor(place + 0.5)), lowest, highest);
    };
    // At least one pixel, where rounding would leave none at a border.
    const std::int64_t from = std::min(nearest(centre - reach), highest - 1);
    const std::int64_t to = std::max(nearest(centre + reach), from + 1);
    triangle.clear();
    double sum = 0;
    for (std::int64_t x = from; x < to; ++x) {
      triangle.push_back(std::max(0.0, 1 - std::abs((static_cast<double>(x) + 0.5 - centre) / reach)));
      sum += triangle.back();
    }
    from_.push_back(from);
    counts_.push_back(to - from);
    starts_.push_back(weights_.size());
    for (const double weight : triangle)
      weights_.push_back(static_cast<float>(sum > 0 ? weight / sum : 1.0 / static_cast<double>(to - from)));
  }
}

void resample(const Pixels& pixels, std::int64_t top, std::int64_t left, const ResizeAxis& rows,
              const ResizeAxis& columns, std::vector<float>& line, std::vector<float>& out) {
  constexpr std::int64_t kChannels = Pixels::kChannels;
  out.resize(static_cast<std::size_t>(rows.size() * columns.size() * kChannels));
  const std::int64_t first = columns.lowest();
  const std::int64_t values = (columns.highest() - first) * kChannels;
  line.resize(static_cast<std::size_t>(values));
  float* to = out.data();
  for (std::int64_t y = 0; y < rows.size(); ++y, to += columns.size() * kChannels) {
    const ResizeAxis::Taps down = rows[y];
    sum_rows(pixels.row(down.from - top) + (first - left) * kChannels, pixels.width * kChannels, down, values,
             line.data());
    sum_columns(line.data(), columns, to);
  }
}

}  // namespace refnorm::data
