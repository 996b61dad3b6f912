#include <refnorm/base/interrupt.h>

#include <csignal>

namespace refnorm {
namespace {

volatile std::sig_atomic_t stop_asked = 0;

extern "C" void ask_for_stop(int) { stop_asked = 1; }

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = ask_for_stop;
  // One-shot: the second signal finds the default action. SA_RESTART, so that no write is cut short.
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return stop_asked != 0; }

}  // namespace refnorm
