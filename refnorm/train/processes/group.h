#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/data/loader.h>
#include <refnorm/ops/joint_statistics.h>
#include <refnorm/train/processes/environment.h>

namespace refnorm::train {

/// Another process of the group is gone, or silent for too long.
class PeerLost : public Error {
 public:
  using Error::Error;
};

/// Seconds without a word from another process after which it counts as lost.
inline constexpr std::int64_t kPeerTimeout = 300;

/// The processes that train one network together. All of them call the same functions in the same order, with
/// tensors of the same shapes and types. A single process is a group, too, for which all of this costs
/// nothing. Everything throws PeerLost, of one line, where another process is gone.
///
/// Processes meet at a TCPStore of process 0, and exchange tensors of the CPU by Gloo, those of CUDA devices
/// by NCCL where LibTorch has it. Sums are the same bits in every process.
class Group {
 public:
  static std::shared_ptr<Group> alone();
  /// Returns once all have come. Throws PeerLost where they have not within the timeout. From then on this
  /// process ignores SIGPIPE, unless it has a handler: to write to a process that is gone is PeerLost, and
  /// not the end.
  static std::shared_ptr<Group> join(const Place& place, std::chrono::seconds timeout,
                                     torch::Device device = torch::kCPU);
  virtual ~Group() = default;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  /// Writes files and speaks for all.
  bool leads() const { return rank() == 0; }
  const Place& place() const { return place_; }

  /// Puts the sum over all processes in the values' place.
  virtual void sum(torch::Tensor& values) = 0;
  /// The same, while this process goes on. Sums that were begun end in their order.
  class Pending {
   public:
    virtual ~Pending() = default;
    virtual void wait() = 0;
  };
  virtual std::unique_ptr<Pending> begin_sum(torch::Tensor& values) = 0;
  /// The tensors of all processes.
  virtual std::vector<torch::Tensor> gather(const torch::Tensor& own) = 0;
  /// Those of process 0 in their place.
  virtual void broadcast(torch::Tensor& values) = 0;

  /// The same of text, which may differ in length.
  std::vector<std::string> gather(const std::string& own);
  std::string broadcast(const std::string& text);
  void barrier();

  /// Leaves the others a word on why this process ends; never throws.
  virtual void leave_word(const std::string& why) noexcept = 0;

 protected:
  explicit Group(const Place& place) : place_(place) {}

 private:
  Place place_;
};

/// A single process, for who wants no group of its own.
Group& alone();

/// A process's part of batches that all share.
inline data::Share share_of(const Group& group) {
  return {group.rank(), group.size()};
}

/// Where processes of this machine meet, while it lives: for who starts them (Place::served).
class MeetingPlace {
 public:
  static std::unique_ptr<MeetingPlace> open();
  virtual ~MeetingPlace() = default;
  virtual int port() const = 0;
};

/// For ops::SynchronizeStatistics; null for a single process.
c10::intrusive_ptr<ops::JointStatistics> joint_statistics_of(const std::shared_ptr<Group>& group);

}  // namespace refnorm::train
