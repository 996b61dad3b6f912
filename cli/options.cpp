#include <cstdio>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/train/processes/environment.h>

#include "command.h"

namespace refnorm::cli {

void print_error(const std::string& message) {
  std::string line;  // whatever the names in it are made of
  for (const char c : message) {
    const auto code = static_cast<unsigned char>(c);
    line += code < 0x20 || code == 0x7f ? fmt::format("\\x{:02x}", code) : std::string(1, c);
  }
  fmt::print(stderr, "refnorm: error: {}\n", line);
}

void add_out(CLI::App& app, std::string& folder, const std::string& name, const std::string& what) {
  const CLI::Validator named(
      [](const std::string& given) {
        return given.empty() ? std::string("empty, expected a folder") : std::string();
      },
      "");
  app.add_option("--out", folder, what)->required()->check(named)->type_name(name);
}

void add_threads(CLI::App& app, std::int64_t& threads, const std::string& what) {
  app.add_option("--threads", threads, what)->check(CLI::Range(1, 4096))->type_name("N");
}

void add_seeds_and_jobs(CLI::App& app, std::int64_t& seeds, const std::string& about_seeds,
                        std::int64_t& jobs) {
  app.add_option("--seeds", seeds, about_seeds)->check(CLI::Range(1, 1000))->type_name("N");
  app.add_option("--jobs", jobs, "Runs side by side (default: the number of cores)")
      ->check(CLI::Range(1, 4096))
      ->type_name("N");
}

void add_device(CLI::App& app, std::string& device) {
  app.add_option("--device", device, "Where to compute (default: the recipe's, else cpu)")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->type_name("cpu|cuda");
}

void add_set(CLI::App& app, std::vector<std::string>& overrides) {
  app.add_option(
         "--set", overrides,
         "Change a value of the recipe; VALUE is TOML, a bare word is a text. May be given several times: "
         "--set train.epochs=1 --set arm.0.norm=rbn:fixed")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

void check_started_alone(const char* command) {
  const train::Place place = train::place_from(train::from_environment, /*slurm=*/false);
  if (place.size > 1)
    user_error("{}: {} has started {} processes; expected one, which starts what it needs (run.processes)",
               command, place.launcher, place.size);
}

}  // namespace refnorm::cli
