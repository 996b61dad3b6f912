#include <algorithm>
#include <iterator>
#include <set>

#include <refnorm/base/file.h>
#include <refnorm/report/curves.h>

namespace refnorm::report {
namespace {

// Requires that `step` lies within the trace.
double interpolated(const std::vector<Point>& points, std::uint64_t step) {
  const auto after =
      std::lower_bound(points.begin(), points.end(), step,
                       [](const Point& point, std::uint64_t wanted) { return point.step < wanted; });
  if (after->step == step) return after->accuracy;
  const auto before = std::prev(after);
  const double part =
      static_cast<double>(step - before->step) / static_cast<double>(after->step - before->step);
  return before->accuracy + part * (after->accuracy - before->accuracy);
}

}  // namespace

std::vector<ArmTraces> read_traces(const std::filesystem::path& folder, const Result& result,
                                   ParsePoints parse) {
  std::vector<ArmTraces> arms;
  for (const Arm& arm : result.arms) {
    ArmTraces traces;
    for (const Run& run : arm.runs) {
      if (run.failed) continue;
      const std::filesystem::path file = folder / run.folder / "metrics.jsonl";
      std::error_code missing;
      Trace trace{run.seed, {}};
      if (std::filesystem::exists(file, missing)) trace.points = parse(read_file(file), file.string());
      if (trace.points.empty()) {
        if (!run.diverged) traces.absent.push_back(run.seed);
      } else {
        (run.diverged ? traces.diverged : traces.counted).push_back(std::move(trace));
      }
    }
    arms.push_back(std::move(traces));
  }
  return arms;
}

std::vector<BandPoint> band_over(const std::vector<Trace>& traces) {
  std::set<std::uint64_t> steps;
  for (const Trace& trace : traces) {
    for (const Point& point : trace.points) steps.insert(point.step);
  }
  std::vector<BandPoint> band;
  for (const std::uint64_t step : steps) {
    BandPoint at{step, 0, 100, 0, 0};
    for (const Trace& trace : traces) {
      if (trace.points.empty() || step < trace.points.front().step || step > trace.points.back().step)
        continue;
      const double accuracy = interpolated(trace.points, step);
      at.mean += accuracy;
      at.low = std::min(at.low, accuracy);
      at.high = std::max(at.high, accuracy);
      ++at.seeds;
    }
    at.mean /= static_cast<double>(at.seeds);
    band.push_back(at);
  }
  return band;
}

std::vector<Point> coarsened(const std::vector<Point>& points, std::uint64_t width) {
  std::vector<Point> coarse;
  std::size_t i = 0;
  while (i < points.size()) {
    // A line stands for the steps up to and with its own: bins end with their last step.
    const std::uint64_t bin = (points[i].step - std::min<std::uint64_t>(points[i].step, 1)) / width;
    Point mean;
    std::size_t count = 0;
    for (; i < points.size() && (points[i].step - std::min<std::uint64_t>(points[i].step, 1)) / width == bin;
         ++i) {
      mean.step = points[i].step;
      mean.accuracy += points[i].accuracy;
      ++count;
    }
    mean.accuracy /= static_cast<double>(count);
    coarse.push_back(mean);
  }
  return coarse;
}

std::vector<Point> smoothed(const std::vector<Point>& points, std::size_t half) {
  std::vector<Point> smooth = points;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t back = std::min(i, half);
    const std::size_t ahead = std::min(back, points.size() - 1 - i);
    double sum = 0;
    for (std::size_t j = i - back; j <= i + ahead; ++j) sum += points[j].accuracy;
    smooth[i].accuracy = sum / static_cast<double>(back + ahead + 1);
  }
  return smooth;
}

}  // namespace refnorm::report
