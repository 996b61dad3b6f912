#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/timing.h>
#include <refnorm/data/image_folder.h>
#include <refnorm/data/loader.h>
#include <refnorm/experiment/build.h>

#include "bench.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string folder;
  std::vector<std::int64_t> workers;
  std::int64_t batch_size = 32, size = 224, images = 0, rounds = 3;
};

/// Seconds for an epoch's batches, in random order, as training sees them.
double seconds_of(const data::ImageSet& set, std::int64_t batches, std::int64_t batch_size,
                  std::int64_t workers, std::int64_t epoch) {
  const std::vector<std::int64_t> order =
      RandomStream(1, "order", static_cast<std::uint64_t>(epoch)).permutation(set.size());
  const auto plan = [&](std::int64_t place) {
    const auto begin = order.begin() + place * batch_size;
    return data::BatchOrder{{begin, begin + batch_size}, epoch};
  };
  const Stopwatch watch;
  data::Loader loader(set, batches, plan, workers);
  while (loader.next()) {
  }
  return watch.seconds();
}

Answer run(const Arguments& arguments) {
  data::FolderOptions options;
  options.look.size = arguments.size;
  options.look.resize = arguments.size * 256 / 224;
  const auto set = data::load_image_folder(arguments.folder, options).train;
  const std::int64_t images = arguments.images > 0 ? std::min(arguments.images, set->size()) : set->size();
  const std::int64_t batches = images / arguments.batch_size;
  if (batches == 0) user_error("--batch-size: {} pictures, the folder has {}", arguments.batch_size, images);
  const std::vector<std::int64_t> workers =
      arguments.workers.empty() ? std::vector<std::int64_t>{0, experiment::core_count()} : arguments.workers;
  Answer answer{{{"images", batches * arguments.batch_size},
                 {"batch_size", arguments.batch_size},
                 {"size", arguments.size},
                 {"loaders", Json::array()}},
                fmt::format("{} pictures in batches of {}, random crops of {} x {}; medians of {} rounds\n"
                            "{:>7} {:>10} {:>22}\n",
                            batches * arguments.batch_size, arguments.batch_size, arguments.size,
                            arguments.size, arguments.rounds, "workers", "images/s", "smallest to largest"),
                0};
  for (const std::int64_t count : workers) {
    seconds_of(*set, std::min<std::int64_t>(batches, 4), arguments.batch_size, count,
               0);  // files into memory
    std::vector<double> rates;
    for (std::int64_t round = 0; round < arguments.rounds; ++round) {
      const double seconds = seconds_of(*set, batches, arguments.batch_size, count, round);
      rates.push_back(static_cast<double>(batches * arguments.batch_size) / seconds);
    }
    answer.json["loaders"].push_back({{"workers", count}, {"images_per_second", rates}});
    std::sort(rates.begin(), rates.end());
    const double median = (rates[(rates.size() - 1) / 2] + rates[rates.size() / 2]) / 2;
    answer.text += fmt::format("{:>7} {:>10.0f} {:>22}\n", count, median,
                               fmt::format("{:.0f} to {:.0f}", rates.front(), rates.back()));
  }
  return answer;
}

}  // namespace

Command bench_data_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "data", "Images per second of reading an image folder as training does: decoding, random crop, flip");
  app->add_option("folder", arguments->folder, "With train/CLASS/PICTURE and val/CLASS/PICTURE in it")
      ->required()
      ->type_name("FOLDER");
  const auto number = [&](const char* name, std::int64_t& value, const char* what) {
    app->add_option(name, value, what)->check(CLI::Range(1, 1 << 20))->type_name("N")->capture_default_str();
  };
  app->add_option("--workers", arguments->workers,
                  "Threads that make batches; as often as wanted (default: 0 and the number of cores)")
      ->check(CLI::Range(0, 256))
      ->type_name("N");
  number("--batch-size", arguments->batch_size, "Pictures a batch");
  number("--size", arguments->size, "Height and width of a crop");
  app->add_option("--images", arguments->images, "Pictures of a round (default: all)")
      ->check(CLI::Range(1, 1 << 30))
      ->type_name("N");
  number("--rounds", arguments->rounds, "Rounds");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace refnorm::cli
