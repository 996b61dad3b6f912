#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refnorm::experiment {

/// Where a process that launch() started writes what ended it, in place of standard error; none: empty.
/// `lost`: whether it was only that another process was gone.
bool write_last_words(const std::string& message, bool lost);

/// Runs this program with `words` in so many processes of this machine at once, which find their places in
/// torchrun's variables and meet here; process 0's standard error is this one's. Passes Ctrl-C on. Where one
/// fails, the others have a few seconds to end, too; then throws Error or UserError, as its status was, with
/// the line of the first one that had a reason of its own. `run` is the folder they work on, which that line
/// may name. Threads of each are `threads`, or the cores divided where it is 0.
void launch(std::int64_t processes, const std::vector<std::string>& words, const std::filesystem::path& run,
            std::int64_t threads);

}  // namespace refnorm::experiment
