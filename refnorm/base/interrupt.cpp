#include <csignal>

#include <refnorm/base/interrupt.h>

namespace refnorm {
namespace {

volatile std::sig_atomic_t stop_asked = 0;

extern "C" void ask_for_stop(int) {
  stop_asked = 1;
  // The second signal ends the process, also where it is the other one of the two.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = ask_for_stop;
  action.sa_flags = SA_RESTART;  // so that no write is cut short
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return stop_asked != 0;
}

}  // namespace refnorm
