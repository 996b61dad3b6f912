#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/base/text.h>

namespace refnorm {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Subprocess::Subprocess(const std::vector<std::string>& command, const std::filesystem::path& log,
                       const std::vector<std::string>& environment, Group group, Errors errors) {
  std::vector<std::string> variables = environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string name = split(*variable, '=').front() + "=";
    bool replaced = false;
    for (const std::string& ours : environment) replaced = replaced || ours.starts_with(name);
    if (!replaced) variables.emplace_back(*variable);
  }
  if (command.empty()) fail("no program to start");
  const std::string output = log.empty() ? "/dev/null" : log.string();
  const int output_fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (output_fd < 0) fail("{}: cannot be written ({})", output, std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
  if (errors == Errors::kToLog) posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  if (group == Group::kOwn) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const auto arguments = pointers(command);
  const auto variable_pointers = pointers(variables);
  const int failure = posix_spawnp(&pid_, command.front().c_str(), &actions, &attributes, arguments.data(),
                                   variable_pointers.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  ::close(output_fd);
  if (failure != 0) fail("{}: cannot be started ({})", command.front(), std::strerror(failure));
}

Subprocess::~Subprocess() {
  if (pid_ < 0 || ended_) return;
  ::kill(pid_, SIGKILL);
  collect(0);
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), ended_(other.ended_) {}

std::optional<ExitStatus> Subprocess::collect(int options) {
  if (ended_) return ended_;
  if (pid_ < 0)
    fail("the process handle was moved away");  // waitpid(-1) would take any child, kill(-1) would end all
  int status = 0;
  pid_t got = 0;
  do {
    got = ::waitpid(pid_, &status, options);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return std::nullopt;
  if (got > 0 && WIFSIGNALED(status)) {
    ended_ = ExitStatus{128 + WTERMSIG(status), WTERMSIG(status)};
  } else {
    ended_ = ExitStatus{got > 0 ? WEXITSTATUS(status) : 127, 0};
  }
  return ended_;
}

std::optional<ExitStatus> Subprocess::poll() {
  return collect(WNOHANG);
}

ExitStatus Subprocess::wait() {
  return *collect(0);
}

void Subprocess::send(int signal) {
  if (!poll()) ::kill(pid_, signal);
}

bool on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  for (const std::string& folder : split(path != nullptr ? path : "/usr/bin:/bin", ':')) {
    const std::filesystem::path file = std::filesystem::path(folder) / program;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(file, ignored) && ::access(file.c_str(), X_OK) == 0) return true;
  }
  return false;
}

std::filesystem::path this_program() {
  return std::filesystem::read_symlink("/proc/self/exe");
}

}  // namespace refnorm
