#include <algorithm>
#include <cstddef>
#include <vector>

#include <refnorm/kernels/merge.h>

namespace refnorm::kernels {
namespace {

/// body(k, source) for each source whose sets are of several processes.
template <class Body>
void for_each_joint(const StatisticSets& sets, const Body& body) {
  for (std::size_t k = 0; k < sets.sources().size(); ++k) {
    if (sets.sources()[k].joint) body(k, sets.sources()[k]);
  }
}

}  // namespace

void merge_moments(const StatisticSets& sets, const Schedule& schedule, std::int64_t channels, double* mean,
                   double* m2) {
  const std::int64_t cells = sets.cells();
  const std::int64_t parts = schedule.parts();
  for (std::int64_t b = 0; b < sets.blocks(); ++b) {
    const auto rows = [&](std::int64_t part) {
      const Schedule::Slice& slice = schedule.slices()[static_cast<std::size_t>(b * parts + part)];
      return static_cast<double>(slice.row_end - slice.row_begin);
    };
    for (std::int64_t cell = b * channels; cell < (b + 1) * channels; ++cell) {
      double sum = 0;
      for (std::int64_t p = 0; p < parts; ++p) sum += rows(p) * mean[p * cells + cell];
      const double centre = sum / static_cast<double>(sets.cell_values(b));
      double squares = 0;
      for (std::int64_t p = 0; p < parts; ++p) {
        const double away = mean[p * cells + cell] - centre;
        squares += m2[p * cells + cell] + rows(p) * away * away;
      }
      mean[cell] = centre;
      m2[cell] = squares;
    }
  }
}

void merge_sums(const StatisticSets& sets, const Schedule& schedule, double* sums) {
  for (std::int64_t part = 1; part < schedule.parts(); ++part) {
    for (std::int64_t cell = 0; cell < sets.cells(); ++cell) sums[cell] += sums[part * sets.cells() + cell];
  }
}

void merge_processes(const StatisticSets& sets, const AcrossProcesses& processes, double* mean, double* var) {
  for_each_joint(sets, [&](std::size_t k, const StatisticSets::Source& source) {
    const std::int64_t block = sets.has_reference_block() ? 1 : 0;
    const auto count = static_cast<std::size_t>(source.blocks * source.groups);
    double* means = mean + source.offset;
    double* vars = var + source.offset;
    std::vector<double> own{sets.own_row_values(k, block)};
    own.insert(own.end(), means, means + count);
    own.insert(own.end(), vars, vars + count);
    const std::vector<double> all = processes.gather(own);
    const double values = sets.row_values(k, block);
    for (std::size_t i = 0; i < count; ++i) {
      double sum = 0;
      for (std::size_t at = 0; at < all.size(); at += own.size()) sum += all[at] * all[at + 1 + i];
      const double centre = sum / values;
      double m2 = 0;
      for (std::size_t at = 0; at < all.size(); at += own.size()) {
        const double away = all[at + 1 + i] - centre;
        m2 += all[at] * (all[at + 1 + count + i] + away * away);
      }
      means[i] = centre;
      vars[i] = m2 / values;
    }
  });
}

void sum_processes(const StatisticSets& sets, const AcrossProcesses& processes, double* mean_grad,
                   double* var_grad) {
  for_each_joint(sets, [&](std::size_t, const StatisticSets::Source& source) {
    const auto count = static_cast<std::size_t>(source.blocks * source.groups);
    std::vector<double> sums(mean_grad + source.offset, mean_grad + source.offset + count);
    sums.insert(sums.end(), var_grad + source.offset, var_grad + source.offset + count);
    processes.sum(sums);
    std::copy_n(sums.begin(), count, mean_grad + source.offset);
    std::copy_n(sums.begin() + static_cast<std::ptrdiff_t>(count), count, var_grad + source.offset);
  });
}

}  // namespace refnorm::kernels
