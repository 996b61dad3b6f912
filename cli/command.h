#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <refnorm/base/json.h>

namespace refnorm::cli {

/// What a subcommand found: as JSON for --json, and as text for people.
struct Answer {
  Json json;
  std::string text;
  int status = 0;
  bool silent = false;  ///< another process has the answer
};

/// A subcommand under construction: options are added to `app`, `run` is called when it is the one that was
/// given. One that has `commands` of its own runs one of those instead.
struct Command {
  CLI::App* app = nullptr;
  std::function<Answer()> run;
  std::vector<Command> commands{};
};

Command fetch_command(CLI::App& parent);
Command train_command(CLI::App& parent);
Command compare_command(CLI::App& parent);
Command sweep_command(CLI::App& parent);
Command eval_command(CLI::App& parent);
Command export_command(CLI::App& parent);
Command convert_command(CLI::App& parent);
Command predict_command(CLI::App& parent);
Command report_command(CLI::App& parent);
Command list_command(CLI::App& parent);
Command bench_command(CLI::App& parent);

/// One line on standard error, `refnorm: error: MESSAGE`.
void print_error(const std::string& message);

/// Options that several subcommands share, with the same words.
void add_out(CLI::App& app, std::string& folder, const std::string& name, const std::string& what);
void add_threads(CLI::App& app, std::int64_t& threads, const std::string& what);
void add_seeds_and_jobs(CLI::App& app, std::int64_t& seeds, const std::string& about_seeds,
                        std::int64_t& jobs);
void add_device(CLI::App& app, std::string& device);
void add_set(CLI::App& app, std::vector<std::string>& overrides);

/// For commands that start processes of their own: throws UserError where this process is one of several that
/// a launcher has started with the same words.
void check_started_alone(const char* command);

}  // namespace refnorm::cli
