#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <refnorm/report/axis.h>
#include <refnorm/report/markup.h>

namespace refnorm::report {
namespace {

// 1, 2, 5 · 10^k by index, so that neighbours are exact decimals and not products that drift.
double round_number(int index) {
  static constexpr std::array<double, 3> kDigits{1, 2, 5};
  const int decade = index >= 0 ? index / 3 : (index - 2) / 3;
  const double digit = kDigits.at(static_cast<std::size_t>(index - 3 * decade));
  return decade >= 0 ? digit * std::pow(10.0, decade) : digit / std::pow(10.0, -decade);
}

int index_up(double value) {
  int index = 3 * static_cast<int>(std::floor(std::log10(value))) - 1;
  while (round_number(index) < value * (1 - 1e-9)) ++index;
  return index;
}

}  // namespace

double Axis::place(double value) const {
  if (!logarithmic) return (value - low) / (high - low);
  return std::log(std::max(value, low / 1e3) / low) / std::log(high / low);
}

double Axis::clamped(double value) const {
  return std::clamp(place(value), 0.0, 1.0);
}

double round_up(double value) {
  return round_number(index_up(value));
}

Axis linear_axis(double low, double high, int wanted) {
  Axis axis;
  axis.low = low;
  axis.high = high > low ? high : low + 1;
  const double step = round_up((axis.high - axis.low) / wanted);
  const auto first = static_cast<long>(std::ceil(axis.low / step - 1e-9));
  const auto last = static_cast<long>(std::floor(axis.high / step + 1e-9));
  for (long i = first; i <= last; ++i) axis.ticks.push_back(static_cast<double>(i) * step);
  return axis;
}

Axis log_axis(double low, double high) {
  Axis axis;
  axis.logarithmic = true;
  const int top = index_up(high);
  int bottom = index_up(low);
  if (round_number(bottom) > low * (1 + 1e-9)) --bottom;
  if (bottom >= top) bottom = top - 1;
  axis.low = round_number(bottom);
  axis.high = round_number(top);
  // All of 1, 2, 5 over few decades, else the powers of ten alone.
  const bool all = top - bottom <= 12;
  for (int i = bottom; i <= top; ++i) {
    if (all || i % 3 == 0) axis.ticks.push_back(round_number(i));
  }
  return axis;
}

std::string tick_label(double value) {
  if (std::abs(value) >= 1000) return with_thousands(value);
  return fmt::format("{:.10g}", std::abs(value) < 1e-12 ? 0.0 : value);
}

}  // namespace refnorm::report
