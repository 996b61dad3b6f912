#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <span>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/launch.h>
#include <refnorm/experiment/version.h>
#include <refnorm/ops/instruction_set.h>
#include <refnorm/train/processes/group.h>

#include "command.h"

namespace refnorm::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kUserError = 2;

constexpr const char* kDescription =
    "Normalization layers of deep networks: train, compare and evaluate networks under reference batch\n"
    "normalization (RBN) and the normalizations it is measured against.\n\n"
    "A first session:\n"
    "  refnorm fetch mnist --to data/mnist\n"
    "  refnorm compare recipes/lenet5-mnist-short.toml --seeds 3 --out runs/first\n"
    "  then open runs/first/report.html\n\n"
    "Exit status: 0 done, 1 failed while working, 2 an argument or a file is wrong.";

/// A process of several says it to whoever started them, who has one line for all.
int complain(const std::string& message, int status, bool for_anothers_sake = false) {
  if (!experiment::write_last_words(message, for_anothers_sake)) print_error(message);
  return status;
}

/// By default glibc gives every tensor above 32 MB back to the system at once; the page faults of mapping it
/// again cost as much as the arithmetic. Blocks of up to 1 GiB stay in the heap instead. Where the program
/// has jemalloc (see allocator.cpp), that is what counts, and this does nothing.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2147483647);
}

volatile std::sig_atomic_t parent_is_gone = 0;

extern "C" void stop_once(int) {
  if (parent_is_gone == 0) std::raise(SIGTERM);
  parent_is_gone = 1;
}

/// A run that a comparison started saves and stops when the comparison is killed. The kernel tells of it once
/// for each thread of the parent that the child is handed on to, and a second SIGTERM would end the run
/// before it has saved.
void follow_parent() {
  const char* parent = std::getenv("REFNORM_PARENT");
  if (parent == nullptr) return;
  std::signal(SIGUSR1, stop_once);
  prctl(PR_SET_PDEATHSIG, SIGUSR1);
  if (std::to_string(getppid()) != parent) std::raise(SIGTERM);
}

/// CLI11 says of an unknown command only that one is required. `words`: the arguments from that command on;
/// `known_by`: what prints the known ones.
void check_command_name(std::span<char* const> words, const std::vector<Command>& commands,
                        const std::string& known_by) {
  if (words.empty() || words[0][0] == '-') return;
  std::vector<std::string> names;
  for (const Command& command : commands) {
    names.push_back(command.app->get_name());
    if (names.back() != words[0]) continue;
    if (!command.commands.empty()) {
      check_command_name(words.subspan(1), command.commands, known_by + " " + names.back());
    }
    return;
  }
  user_error("'{}' is not a command{} (see {} --help)", printable(words[0]), suggestion(words[0], names),
             known_by);
}

/// What every command has.
void add_common_flags(const std::vector<Command>& commands, const std::string& version, bool& json) {
  for (const Command& command : commands) {
    command.app->set_version_flag("--version", version, "Print the version and exit");
    command.app->add_flag(
        "--json", json,
        "Print the result as one JSON document on standard output, all else on standard error");
    add_common_flags(command.commands, version, json);
  }
}

/// The one that was given, or nullptr.
const Command* given_command(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    if (command.app->parsed()) return command.commands.empty() ? &command : given_command(command.commands);
  }
  return nullptr;
}

/// A path that cannot be looked at is the user's word: a name too long, a folder that is forbidden. The rest
/// is work that failed.
int complain_of_file(const std::filesystem::filesystem_error& error) {
  const bool of_user = error.code() == std::errc::filename_too_long ||
                       error.code() == std::errc::permission_denied ||
                       error.code() == std::errc::too_many_symbolic_link_levels;
  return complain(fmt::format("{}: {}", printable(error.path1().string(), 200), error.code().message()),
                  of_user ? kUserError : kFailed);
}

/// c10's messages carry a backtrace below their first line.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

int run(const Command& command, bool json) {
  ops::instruction_set();  // a wrong REFNORM_ISA is an error before any work, and in every command
  const Answer answer = command.run();
  if (answer.silent) return answer.status;
  const std::string text =
      json ? answer.json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : answer.text;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return complain("standard output: cannot be written", kFailed);
  }
  return answer.status;
}

int main_without_net(int argc, char** argv) {
  const std::string version = fmt::format("refnorm {}", experiment::kVersion);
  CLI::App app(kDescription, "refnorm");
  app.set_version_flag("--version", version, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit; each command has its own");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  const std::vector<Command> commands{fetch_command(app),  train_command(app),   compare_command(app),
                                      sweep_command(app),  eval_command(app),    predict_command(app),
                                      export_command(app), convert_command(app), report_command(app),
                                      list_command(app),   bench_command(app)};
  bool json = false;
  add_common_flags(commands, version, json);
  check_command_name(std::span(argv, static_cast<std::size_t>(argc)).subspan(1), commands, "refnorm");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return complain(first_line(error.what()) + " (see refnorm --help)", kUserError);
  }
  const Command* given = given_command(commands);
  return given == nullptr ? kUserError : run(*given, json);
}

}  // namespace
}  // namespace refnorm::cli

int main(int argc, char** argv) {
  using namespace refnorm;
  cli::keep_freed_memory();
  cli::follow_parent();
  try {
    return cli::main_without_net(argc, argv);
  } catch (const UserError& error) {
    return cli::complain(error.what(), cli::kUserError);
  } catch (const train::PeerLost& error) {
    return cli::complain(error.what(), cli::kFailed, /*for_anothers_sake=*/true);
  } catch (const std::bad_alloc&) {
    return cli::complain("out of memory", cli::kFailed);
  } catch (const std::filesystem::filesystem_error& error) {
    return cli::complain_of_file(error);
  } catch (const std::exception& error) {
    return cli::complain(cli::first_line(error.what()), cli::kFailed);
  }
}
