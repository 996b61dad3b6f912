#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace refnorm::train {

/// Where this process stands among those that train one network together.
struct Place {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  ///< among those of this machine
  std::string address = "127.0.0.1";   ///< of the machine that process 0 runs on
  int port = 0;                        ///< where process 0 is met
  std::string launcher = "none";       ///< whose variables say so
  bool served = false;                 ///< the launcher is there already, so process 0 need not be
  std::string attempt;                 ///< which start of the same job it is, where the launcher counts them
};

/// The value of an environment variable, or nothing.
using Variables = std::function<std::optional<std::string>(const std::string&)>;
std::optional<std::string> from_environment(const std::string& name);

/// By the variables of whoever started this process, the first of these that are there:
/// - RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT (torchrun);
/// - OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE (Open MPI's mpirun);
/// - SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID, SLURM_NODELIST (srun), where `slurm` is set: a batch script
/// has
///   them, too, whatever it starts.
/// For the latter two, process 0 is met at MASTER_ADDR and MASTER_PORT where these are set, else on the first
/// machine, at a port that follows from the job's number. Without any, the place is that of a single process.
/// Throws UserError for variables that are missing, no numbers, or contradict each other.
Place place_from(const Variables& variables, bool slurm = true);

/// "node[01-04,7],other" -> "node01". Throws UserError where it is no list of SLURM's.
std::string first_host(const std::string& node_list);

}  // namespace refnorm::train
