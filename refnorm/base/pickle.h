#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace refnorm {

/// A value of a pickle: small ones by themselves, the others by their place in the Pickle.
struct PickleValue {
  enum class Kind : std::uint8_t {
    kNone,
    kBool,
    kInteger,
    kLongInteger,  ///< beyond 64 bits; its little-endian bytes are in `texts`
    kText,         ///< in `texts`; Python's str and bytes alike
    kGlobal,       ///< in the list of names that the reader was given
    kNode,         ///< in `nodes`
    kOther         ///< a floating-point number
  };
  Kind kind = Kind::kNone;
  std::int64_t number = 0;  ///< the number, or the place
};

/// A value that holds others. They are named by place, so that what contains itself does no harm.
struct PickleNode {
  enum class Kind : std::uint8_t {
    kTuple,
    kList,  ///< sets, too
    kDict,
    kCall,       ///< what Python would make by calling a global
    kPersistent  ///< what the program that wrote the pickle keeps elsewhere (torch: a storage), by its id
  };
  Kind kind = Kind::kTuple;
  std::int32_t callee = 0;  ///< of a call: the place in the list of names
  std::vector<PickleValue>
      items;              ///< elements; of a dict, and of a call that became one, keys and values in turn
  PickleValue arguments;  ///< of a call, a tuple; of a persistent one, the id
  PickleValue state;      ///< of a call: what Python would hand to __setstate__
};

/// What a pickle says. Nothing is executed: where Python would call a function, there is a node that says so.
struct Pickle {
  PickleValue root;
  std::size_t size = 0;                 ///< bytes from the beginning to the one that ended it
  std::vector<std::string_view> texts;  ///< into the bytes read
  std::vector<PickleNode> nodes;

  /// The node of that kind that a value stands for, or nullptr.
  const PickleNode* node(PickleValue value, PickleNode::Kind kind) const;
  /// The text that a value is, or nullptr.
  const std::string_view* text(PickleValue value) const;
};

/// Reads the pickle (protocol 2 to 5) that `bytes` begin with; they must outlive the result. `globals` are
/// the full names ("collections.OrderedDict") that it may mention; any other is an error that names it.
/// Memory is at most about 100 bytes for each byte of the pickle, which may hold 4 million values; nothing
/// recurses. Throws UserError of one line that names `origin`.
Pickle parse_pickle(std::string_view bytes, std::span<const std::string_view> globals,
                    const std::string& origin);

}  // namespace refnorm
