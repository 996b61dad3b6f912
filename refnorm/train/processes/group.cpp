#include <atomic>
#include <csignal>
#include <cstring>
#include <utility>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/types.h>
#include <torch/version.h>
#if defined(USE_C10D_NCCL) && __has_include(<torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>)
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#define REFNORM_NCCL
#endif

#include <refnorm/base/text.h>
#include <refnorm/train/processes/group.h>

namespace refnorm::train {
namespace {

using torch::Tensor;

#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif
using Work = c10::intrusive_ptr<c10d::Work>;

class Done : public Group::Pending {
 public:
  void wait() override {}
};

class Alone : public Group {
 public:
  Alone() : Group(Place()) {}
  void sum(Tensor&) override {}
  std::unique_ptr<Pending> begin_sum(Tensor&) override { return std::make_unique<Done>(); }
  std::vector<Tensor> gather(const Tensor& own) override { return {own.clone()}; }
  void broadcast(Tensor&) override {}
  void leave_word(const std::string&) noexcept override {}
};

/// In TCPStore, beside Gloo's own keys.
constexpr const char* kWord = "refnorm/word";

bool is_local(const std::string& address) {
  return address == "localhost" || address.starts_with("127.") || address == "::1";
}

std::shared_ptr<gloo::transport::Device> network_of(const Place& place) {
  if (const auto interface = from_environment("GLOO_SOCKET_IFNAME"))
    return c10d::ProcessGroupGloo::createDeviceForInterface(*interface);
  if (is_local(place.address)) return c10d::ProcessGroupGloo::createDeviceForHostname(place.address);
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

/// Gloo writes to sockets as if nothing could come of it, since Python, for which it is made, ignores this
/// signal.
void ignore_broken_pipes() {
  struct sigaction now {};
  if (sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) std::signal(SIGPIPE, SIG_IGN);
}

bool is_timeout(const std::string& failure) {
  return failure.find("imed out") != std::string::npos || failure.find("imeout") != std::string::npos;
}

class ServedPlace : public MeetingPlace {
 public:
  ServedPlace() {
    c10d::TCPStoreOptions options;
    options.port = 0;  // the system chooses
    options.isServer = true;
    options.waitWorkers = false;
    store_ = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  }
  int port() const override { return store_->getPort(); }

 private:
  c10::intrusive_ptr<c10d::TCPStore> store_;
};

class Many : public Group, public std::enable_shared_from_this<Many> {
 public:
  Many(const Place& place, std::chrono::seconds timeout, torch::Device device)
      : Group(place), timeout_(timeout) {
    ignore_broken_pipes();
    try {
      c10d::TCPStoreOptions options;
      options.port = static_cast<std::uint16_t>(place.port);
      options.isServer = place.rank == 0 && !place.served;
      options.numWorkers = static_cast<std::size_t>(place.size);
      options.waitWorkers = !place.served;
      options.timeout = timeout;
      store_ = c10::make_intrusive<c10d::TCPStore>(place.address, options);
      // What was begun and goes on must not come between the steps of what is waited for.
      later_ = connect("later", device);
      now_ = connect("now", device);
      wait_for_all();
    } catch (const UserError&) {
      throw;
    } catch (const c10::Error& error) {
      not_met(error.what_without_backtrace());
    } catch (const std::exception& error) {
      not_met(error.what());
    }
  }

  void sum(Tensor& values) override { wait(reduce(*now_, values)); }

  std::unique_ptr<Pending> begin_sum(Tensor& values) override {
    return std::make_unique<Begun>(shared_from_this(), reduce(*later_, values));
  }

  std::vector<Tensor> gather(const Tensor& own) override {
    std::vector<Tensor> inputs{own.contiguous()};
    std::vector<std::vector<Tensor>> outputs(1);
    for (int rank = 0; rank < size(); ++rank) outputs[0].push_back(torch::empty_like(inputs[0]));
    wait(guarded([&] { return now_->allgather(outputs, inputs); }));
    return outputs[0];
  }

  void broadcast(Tensor& values) override {
    std::vector<Tensor> tensors{values};
    wait(guarded([&] { return now_->broadcast(tensors, c10d::BroadcastOptions()); }));
  }

  void leave_word(const std::string& why) noexcept override {
    try {
      const std::string word = fmt::format("process {} of {}: {}", rank(), size(), why);
      // The first word stands: what follows from it comes later.
      store_->compareSet(kWord, {}, {word.begin(), word.end()});
    } catch (...) {  // NOLINT: process 0 is gone, and nobody is left to read it
    }
  }

 private:
  class Begun : public Pending {
   public:
    Begun(std::shared_ptr<Many> group, Work work) : group_(std::move(group)), work_(std::move(work)) {}
    void wait() override { group_->wait(work_); }

   private:
    std::shared_ptr<Many> group_;
    Work work_;
  };

  c10::intrusive_ptr<Backend> connect(const std::string& name, torch::Device device) {
    auto store = c10::make_intrusive<c10d::PrefixStore>("refnorm/" + place().attempt + "/" + name, store_);
    if (device.is_cuda()) {
#ifdef REFNORM_NCCL
      auto options = c10d::ProcessGroupNCCL::Options::create();
      options->timeout = timeout_;
      return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank(), size(), options);
#else
      user_error("--device cuda: this LibTorch has no NCCL, which several processes need; expected cpu");
#endif
    }
    auto options = c10d::ProcessGroupGloo::Options::create(timeout_);
    options->devices.push_back(network_of(place()));
    options->threads = 1;  // begun sums in their order
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank(), size(), options);
  }

  [[noreturn]] void not_met(const std::string& failure) {
    const std::string within = is_timeout(failure) ? fmt::format(" within {} s", timeout_.count()) : "";
    throw PeerLost(fmt::format("process {} of {}: did not meet the others at {} port {}{} ({})", rank(),
                               size(), place().address, place().port, within, one_line(failure, 160)));
  }

  /// Gloo connects one pair after the other: who has all of its own and ends at once would take them from one
  /// that is still connecting, which then knew nothing of the word that was left.
  void wait_for_all() {
    c10d::PrefixStore store("refnorm/" + place().attempt + "/connected", store_);
    if (store.add("count", 1) == size()) {
      store.set("all", std::vector<std::uint8_t>{1});
    } else {
      store.wait({"all"}, timeout_);
    }
  }

  Work reduce(Backend& backend, Tensor& values) {
    std::vector<Tensor> tensors{values};
    return guarded([&] { return backend.allreduce(tensors, c10d::AllreduceOptions()); });
  }

  void wait(const Work& work) {
    guarded([&] { return work->wait(timeout_); });
  }

  template <class Action>
  auto guarded(const Action& action) -> decltype(action()) {
    try {
      return action();
    } catch (const UserError&) {
      throw;
    } catch (const c10::Error& error) {
      lost(error.what_without_backtrace());
    } catch (const std::exception& error) {
      lost(error.what());
    }
  }

  /// The word that another process left, or what the network says.
  [[noreturn]] void lost(const std::string& failure) {
    const std::string word = read_word();
    if (!word.empty()) throw PeerLost(fmt::format("another process ended: {}", word));
    if (is_timeout(failure))
      throw PeerLost(fmt::format("process {} of {}: no word from another process for {} s (--peer-timeout)",
                                 rank(), size(), timeout_.count()));
    throw PeerLost(fmt::format(
        "process {} of {}: another process is gone ({})", rank(), size(),
        one_line(failure.substr(failure.find("] ") == std::string::npos ? 0 : failure.find("] ") + 2), 160)));
  }

  std::string read_word() noexcept {
    try {
      if (!store_->check({kWord})) return {};
      const std::vector<std::uint8_t> word = store_->get(kWord);
      return printable(std::string(word.begin(), word.end()), 400);
    } catch (...) {  // NOLINT: process 0, which has the store, is gone
      return {};
    }
  }

  std::chrono::seconds timeout_;
  c10::intrusive_ptr<c10d::TCPStore> store_;
  c10::intrusive_ptr<Backend> later_, now_;
};

class OverGroup : public ops::JointStatistics {
 public:
  explicit OverGroup(std::shared_ptr<Group> group) : group_(std::move(group)) {}
  void sum(Tensor& values) override { group_->sum(values); }
  Tensor gather(const Tensor& own) override { return torch::stack(group_->gather(own)); }

 private:
  std::shared_ptr<Group> group_;
};

Tensor bytes_of(const std::string& text, std::int64_t length) {
  Tensor bytes = torch::zeros({length}, torch::kByte);
  std::memcpy(bytes.data_ptr<std::uint8_t>(), text.data(), text.size());
  return bytes;
}

std::string text_of(const Tensor& bytes, std::int64_t length) {
  return {reinterpret_cast<const char*>(bytes.data_ptr<std::uint8_t>()), static_cast<std::size_t>(length)};
}

}  // namespace

std::shared_ptr<Group> Group::alone() {
  return std::make_shared<Alone>();
}

std::shared_ptr<Group> Group::join(const Place& place, std::chrono::seconds timeout, torch::Device device) {
  if (place.size == 1) return alone();
  return std::make_shared<Many>(place, timeout, device);
}

Group& alone() {
  static const std::shared_ptr<Group> one = Group::alone();
  return *one;
}

std::unique_ptr<MeetingPlace> MeetingPlace::open() {
  try {
    return std::make_unique<ServedPlace>();
  } catch (const std::exception& error) {
    fail("--nproc: no port can be opened ({})", one_line(error.what(), 160));
  }
}

std::vector<std::string> Group::gather(const std::string& own) {
  std::vector<std::int64_t> lengths;
  std::int64_t longest = 0;
  for (const Tensor& length : gather(torch::tensor({static_cast<std::int64_t>(own.size())}, torch::kLong))) {
    lengths.push_back(length.item<std::int64_t>());
    longest = std::max(longest, lengths.back());
  }
  std::vector<std::string> texts(lengths.size());
  if (longest == 0) return texts;
  const std::vector<Tensor> all = gather(bytes_of(own, longest));
  for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = text_of(all[i], lengths[i]);
  return texts;
}

std::string Group::broadcast(const std::string& text) {
  Tensor length = torch::tensor({static_cast<std::int64_t>(text.size())}, torch::kLong);
  broadcast(length);
  const auto size = length.item<std::int64_t>();
  Tensor bytes = bytes_of(leads() ? text : std::string(), std::max<std::int64_t>(size, 1));
  broadcast(bytes);
  return text_of(bytes, size);
}

void Group::barrier() {
  Tensor nothing = torch::zeros({1});
  sum(nothing);
}

c10::intrusive_ptr<ops::JointStatistics> joint_statistics_of(const std::shared_ptr<Group>& group) {
  if (group->size() == 1) return {};
  return c10::make_intrusive<OverGroup>(group);
}

}  // namespace refnorm::train
