#pragma once

#include "command.h"

namespace refnorm::cli {

/// The subcommands of `refnorm bench`.
Command bench_coco_command(CLI::App& parent);
Command bench_data_command(CLI::App& parent);
Command bench_detection_command(CLI::App& parent);
Command bench_norm_command(CLI::App& parent);
Command bench_predict_command(CLI::App& parent);
Command bench_processes_command(CLI::App& parent);
Command bench_train_command(CLI::App& parent);

/// The largest resident set of this process, so far.
double max_rss_mib();

}  // namespace refnorm::cli
