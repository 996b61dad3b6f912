#pragma once

namespace refnorm {

/// From now on Ctrl-C (SIGINT) and SIGTERM ask for an orderly stop instead of ending the process; a second
/// one ends it.
void catch_interrupts();

/// Whether a stop was asked for. Long work looks at it between steps.
bool interrupted();

}  // namespace refnorm
