#include "bench.h"

#include <sys/resource.h>

namespace refnorm::cli {

double max_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

Command bench_command(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand("bench", "Measure speed beside LibTorch's own");
  app->require_subcommand(1);
  return {app,
          {},
          {bench_coco_command(*app), bench_data_command(*app), bench_detection_command(*app),
           bench_norm_command(*app), bench_predict_command(*app), bench_processes_command(*app),
           bench_train_command(*app)}};
}

}  // namespace refnorm::cli
