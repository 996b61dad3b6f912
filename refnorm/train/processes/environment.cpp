#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/train/processes/environment.h>

namespace refnorm::train {
namespace {

constexpr std::int64_t kMostProcesses = 1 << 20;
constexpr std::int64_t kLastPort = 65535;
constexpr int kDefaultPort = 29500;  // torchrun's
/// Ports that no service has by convention; jobs of other numbers have other ones of them.
constexpr std::int64_t kFirstJobPort = 15000, kJobPorts = 14000;

/// Reads variables of one launcher.
class Reader {
 public:
  explicit Reader(const Variables& variables) : variables_(variables) {}

  bool has(const std::string& name) const { return variables_(name).has_value(); }
  std::string text(const std::string& name, const std::string& because_of) const {
    const auto value = variables_(name);
    if (!value || value->empty())
      user_error("{}: is not set, but {} is; expected all variables of a launcher, or none", name,
                 because_of);
    return *value;
  }
  std::string text_or(const std::string& name, const std::string& otherwise) const {
    return variables_(name).value_or(otherwise);
  }
  int number(const std::string& name, std::int64_t low, std::int64_t high,
             const std::string& because_of) const {
    const std::string value = text(name, because_of);
    std::int64_t number = 0;
    const char* end = value.data() + value.size();
    const auto [stop, failure] = std::from_chars(value.data(), end, number);
    if (failure != std::errc() || stop != end || number < low || number > high)
      user_error("{}: is '{}', expected a number from {} to {}", name, printable(value), low, high);
    return static_cast<int>(number);
  }
  int number_or(const std::string& name, std::int64_t low, std::int64_t high, int otherwise) const {
    return has(name) ? number(name, low, high, name) : otherwise;
  }

 private:
  const Variables& variables_;
};

/// What the launchers call the same things.
struct Names {
  const char* launcher;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};
constexpr Names kTorchrun{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
constexpr Names kOpenMpi{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                         "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Names kSlurm{"srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", ""};

Place read_place(const Reader& reader, const Names& names) {
  const bool has_rank = reader.has(names.rank);
  Place place;
  place.launcher = names.launcher;
  place.size = reader.number(names.size, 1, kMostProcesses, names.rank);
  place.rank = reader.number(names.rank, 0, kMostProcesses, has_rank ? names.rank : names.size);
  if (place.rank >= place.size)
    user_error("{}: is {}, but {} is {}; expected less", names.rank, place.rank, names.size, place.size);
  place.local_size = place.size;
  if (*names.local_size != '\0')
    place.local_size = reader.number_or(names.local_size, 1, kMostProcesses, place.size);
  if (place.local_size > place.size)
    user_error("{}: is {}, but {} is {}; expected at most as much", names.local_size, place.local_size,
               names.size, place.size);
  place.local_rank = reader.number_or(names.local_rank, 0, kMostProcesses, place.rank % place.local_size);
  if (place.local_rank > place.rank)
    user_error("{}: is {}, but {} is {}; expected at most as much", names.local_rank, place.local_rank,
               names.rank, place.rank);
  if (place.local_rank >= place.local_size)
    user_error("{}: is {} of {} processes on this machine, expected less", names.local_rank, place.local_rank,
               place.local_size);
  return place;
}

Place of_torchrun(const Reader& reader) {
  Place place = read_place(reader, kTorchrun);
  if (place.size == 1) return place;
  place.address = reader.text("MASTER_ADDR", "WORLD_SIZE");
  place.port = reader.number("MASTER_PORT", 1, kLastPort, "WORLD_SIZE");
  const auto whether = reader.text_or("TORCHELASTIC_USE_AGENT_STORE", "");
  place.served = whether == "True" || whether == "1";
  place.attempt = reader.text_or("TORCHELASTIC_RESTART_COUNT", "0");
  // Scripts for mpirun often set the one by the other. torchrun's own count can differ: mpirun may have
  // started one torchrun a machine.
  if (reader.has(kOpenMpi.rank) && !reader.has("TORCHELASTIC_RUN_ID")) {
    const Place other = read_place(reader, kOpenMpi);
    if (other.rank != place.rank || other.size != place.size)
      user_error("RANK: is {} of {}, but OMPI_COMM_WORLD_RANK is {} of {}; expected the same", place.rank,
                 place.size, other.rank, other.size);
  }
  return place;
}

Place of_open_mpi(const Reader& reader) {
  Place place = read_place(reader, kOpenMpi);
  if (place.size == 1) return place;
  place.port = reader.number_or("MASTER_PORT", 1, kLastPort, kDefaultPort);
  if (reader.has("MASTER_ADDR")) {
    place.address = reader.text("MASTER_ADDR", kOpenMpi.size);
  } else if (place.local_size != place.size) {
    user_error(
        "MASTER_ADDR: is not set, and mpirun's processes are on several machines; expected the host of "
        "process 0 (mpirun -x MASTER_ADDR=HOST)");
  }
  return place;
}

Place of_slurm(const Reader& reader) {
  Place place = read_place(reader, kSlurm);
  if (place.size == 1) return place;
  const std::int64_t nodes = reader.number_or("SLURM_NNODES", 1, kMostProcesses, 1);
  place.local_size = std::max(static_cast<int>(place.size / nodes), place.local_rank + 1);
  if (reader.has("MASTER_ADDR")) {
    place.address = reader.text("MASTER_ADDR", kSlurm.size);
  } else {
    const bool of_step = reader.has("SLURM_STEP_NODELIST");
    place.address = first_host(reader.text(of_step ? "SLURM_STEP_NODELIST" : "SLURM_NODELIST", kSlurm.size));
  }
  const int job = reader.number_or("SLURM_JOB_ID", 0, 2147483647, 0);
  place.port =
      reader.number_or("MASTER_PORT", 1, kLastPort, static_cast<int>(kFirstJobPort + job % kJobPorts));
  return place;
}

}  // namespace

std::optional<std::string> from_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

Place place_from(const Variables& variables, bool slurm) {
  const Reader reader(variables);
  for (const auto& [names, read] :
       {std::pair(kTorchrun, &of_torchrun), {kOpenMpi, &of_open_mpi}, {kSlurm, &of_slurm}}) {
    if (read == &of_slurm && !(slurm && reader.has(names.rank))) continue;
    if (reader.has(names.rank) || reader.has(names.size)) return read(reader);
  }
  return {};
}

std::string first_host(const std::string& node_list) {
  const auto wrong = [&] {
    user_error("SLURM_NODELIST: is '{}', expected a list of hosts such as node[01-04]", printable(node_list));
  };
  std::string host;
  for (std::size_t i = 0; i < node_list.size() && node_list[i] != ','; ++i) {
    if (node_list[i] != '[') {
      host += node_list[i];
      continue;
    }
    const std::size_t close = node_list.find(']', i);
    const std::size_t end = node_list.find_first_of(",-]", i);
    if (close == std::string::npos || end == i + 1) wrong();
    host += node_list.substr(i + 1, end - i - 1);
    i = close;
  }
  if (host.empty() || host.find(']') != std::string::npos) wrong();
  return host;
}

}  // namespace refnorm::train
