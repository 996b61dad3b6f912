#pragma once

#include <string>

#include <gtest/gtest.h>

#include <refnorm/base/torch_file.h>

#include "tests/base/helpers.h"
#include "tests/base/torch_writer.h"

// What the reader of torch's files says of one that it refuses.

namespace refnorm::testing {

inline std::string zip_message(const std::string& bytes) {
  return user_error_of([&] { parse_torch_zip(bytes, "f.pth"); });
}

inline std::string legacy_message(const std::string& bytes) {
  return user_error_of([&] { parse_torch_legacy(bytes, "f.pth"); });
}

inline std::string pickle_message(const PickleWriter& pickle) {
  return zip_message(torch_zip(pickle.done(), {{"0", "abcd"}}));
}

inline void expect_message(const std::string& message, const char* piece) {
  EXPECT_TRUE(message.starts_with("f.pth: ")) << message;
  EXPECT_TRUE(contains(message, piece)) << message << "\nexpected: " << piece;
  EXPECT_LT(message.size(), 320U) << message;
}

}  // namespace refnorm::testing
