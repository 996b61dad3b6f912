// A pickle by itself, with storages of any key and size: in a zip file, its checksum would stop nearly all
// that the fuzzer changes.
#include <refnorm/base/pickle.h>
#include <refnorm/base/state_dict.h>
#include <refnorm/base/torch_file.h>
#include <refnorm/base/torch_storages.h>

#include "fuzz/expect.h"

namespace {

constexpr std::uint64_t kLargestStorage = 1 << 16;

class AnyStorage : public refnorm::StorageBytes {
 public:
  std::string_view get(std::string_view, std::uint64_t size) override {
    if (size > kLargestStorage) refnorm::user_error("{}: a storage is too large", refnorm::fuzz::kOrigin);
    held_ = std::string(size, 's');  // of its own, so that each byte beyond is found
    return held_;
  }
  void release(std::string_view) override { held_ = {}; }

 private:
  std::string held_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refnorm;
  fuzz::expect_user_error_or_success([&] {
    const Pickle pickle = parse_pickle(fuzz::view(data, size), state_dict_globals(), fuzz::kOrigin);
    fuzz::expect(pickle.size <= size, "the pickle ends within the file");
    AnyStorage storages;
    fuzz::expect_sound(copy_tensors(find_state_dict(pickle, fuzz::kOrigin), storages, size, fuzz::kOrigin),
                       kLargestGrowth * size);
  });
  return 0;
}
