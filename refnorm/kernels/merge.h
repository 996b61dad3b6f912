#pragma once

#include <cstdint>

#include <refnorm/kernels/normalize.h>
#include <refnorm/kernels/schedule.h>
#include <refnorm/kernels/statistic_sets.h>

/// Bringing numbers together that were computed apart: of the parts that a cell was divided into among this
/// process's workers, and of sets that several processes have values of.
namespace refnorm::kernels {

/// Mean and sum of squared deviations of each cell from its parts': both are [parts, cells], and the first
/// cells become the whole.
void merge_moments(const StatisticSets& sets, const Schedule& schedule, std::int64_t channels, double* mean,
                   double* m2);

/// [parts, cells]: the first cells become the sums over the parts.
void merge_sums(const StatisticSets& sets, const Schedule& schedule, double* sums);

/// From the statistics of this process's joint sets to those of all: Chan's formula over the processes in
/// order.
void merge_processes(const StatisticSets& sets, const AcrossProcesses& processes, double* mean, double* var);

/// Sums the gradients of joint sets' statistics, of which every process has the part that its own values
/// make.
void sum_processes(const StatisticSets& sets, const AcrossProcesses& processes, double* mean_grad,
                   double* var_grad);

}  // namespace refnorm::kernels
