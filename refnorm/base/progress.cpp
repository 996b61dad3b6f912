#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <refnorm/base/progress.h>
#include <refnorm/base/text.h>

namespace refnorm {
namespace {

constexpr double kRedrawInterval = 0.1;
constexpr std::int64_t kBarWidth = 24;

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

double Progress::plain_interval = 10;

Progress::Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      start_(done),
      done_(done),
      terminal_(isatty(STDERR_FILENO) == 1),
      begun_(Clock::now()),
      shown_(begun_) {}

Progress::~Progress() {
  erase();
}

void Progress::update(std::int64_t done, const std::string& note) {
  done_ = done;
  const auto now = Clock::now();
  if (seconds_between(shown_, now) < (terminal_ ? kRedrawInterval : plain_interval)) return;
  shown_ = now;
  draw(note);
}

void Progress::say(const std::string& line) {
  erase();
  fmt::print(stderr, "{}\n", line);
  std::fflush(stderr);
}

void Progress::draw(const std::string& note) {
  const double elapsed = seconds_between(begun_, Clock::now());
  const double rate = static_cast<double>(done_ - start_) / std::max(elapsed, 1e-9);
  std::string text = fmt::format("{} {}/{} {}", title_, done_, total_, unit_);
  if (rate > 0) {
    text +=
        fmt::format(", {:.4g} {}/s, {} left", rate, unit_,
                    readable_duration(static_cast<double>(std::max<std::int64_t>(total_ - done_, 0)) / rate));
  }
  if (!note.empty()) text += ", " + note;
  if (!terminal_) {
    fmt::print(stderr, "{}\n", text);
    std::fflush(stderr);
    return;
  }
  const std::int64_t filled = total_ > 0 ? kBarWidth * std::min(done_, total_) / total_ : 0;
  const std::string bar(static_cast<std::size_t>(filled), '#');
  const std::string line = fmt::format("[{:.<{}}] {}", bar, kBarWidth, text);
  std::size_t length = std::min(line.size(), terminal_width() - 1);
  while (length < line.size() && length > 0 && (line[length] & 0xc0) == 0x80)
    --length;  // no half letter of UTF-8
  fmt::print(stderr, "\r\x1b[K{}", line.substr(0, length));
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::erase() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace refnorm
