#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <refnorm/report/metrics.h>
#include <refnorm/report/result.h>

namespace refnorm::report {

/// One run's training accuracy.
struct Trace {
  std::uint64_t seed = 0;
  std::vector<Point> points;
};

struct ArmTraces {
  std::vector<Trace> counted;         ///< of the runs that the tables average
  std::vector<Trace> diverged;        ///< shown up to where they stopped
  std::vector<std::uint64_t> absent;  ///< seeds that count but left no step behind
};

/// Reads the metrics.jsonl of every run that did not fail, by parse_metrics() or parse_validations(). A
/// missing file is no error, a malformed one is.
using ParsePoints = std::vector<Point> (*)(std::string_view text, const std::string& origin);
std::vector<ArmTraces> read_traces(const std::filesystem::path& folder, const Result& result,
                                   ParsePoints parse = parse_metrics);

/// Mean and extremes over the seeds that reached a step.
struct BandPoint {
  std::uint64_t step = 0;
  double mean = 0, low = 0, high = 0;
  std::size_t seeds = 0;
};

/// Over the union of the traces' steps; between a trace's own points it counts by linear interpolation,
/// beyond its last one (or before its first) not at all.
std::vector<BandPoint> band_over(const std::vector<Trace>& traces);

/// The mean of each `width` steps, placed at the last step of them that was logged.
std::vector<Point> coarsened(const std::vector<Point>& points, std::uint64_t width);

/// A moving mean over 2 · half + 1 points; over fewer, and evenly, near the start, where the curve is steep,
/// and over those there are at the end.
std::vector<Point> smoothed(const std::vector<Point>& points, std::size_t half);

/// curves.svg: training accuracy against step (Figure 2), below it the same as error on a logarithmic scale,
/// where the arms' ends lie apart, and the validation errors where a run has several. Self-contained, follows
/// the reader's light or dark scheme, titles on all marks.
std::string curves_svg(const Result& result, const std::vector<ArmTraces>& traces,
                       const std::vector<ArmTraces>& validations = {});

}  // namespace refnorm::report
