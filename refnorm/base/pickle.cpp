#include <algorithm>
#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/base/pickle.h>
#include <refnorm/base/pickle_stack.h>
#include <refnorm/base/text.h>

namespace refnorm {
namespace {

using Kind = PickleValue::Kind;
using Node = PickleNode::Kind;

constexpr std::uint8_t kProtocol = 0x80;
constexpr std::uint8_t kStop = '.';
constexpr std::uint64_t kLatestProtocol = 5;

/// Python's stack machine without its arms; the standard library's pickletools.py describes the operations.
class Machine {
 public:
  Machine(std::string_view bytes, std::span<const std::string_view> globals, const std::string& origin)
      : bytes_(bytes, origin), stack_(bytes_), globals_(globals) {}

  Pickle run() {
    if (bytes_.byte() != kProtocol) bytes_.broken("it does not begin as protocols 2 to 5 do");
    protocol();
    for (std::uint8_t operation = bytes_.byte(); operation != kStop; operation = bytes_.byte()) {
      if (!constant(operation) && !text(operation) && !container(operation) && !filling(operation) &&
          !object(operation) && !memory(operation)) {
        bytes_.broken("operation 0x{:02x} is none that a state dictionary needs", operation);
      }
    }
    return stack_.finish();
  }

 private:
  void protocol() {
    const std::uint64_t version = bytes_.byte();
    if (version < 2 || version > kLatestProtocol) bytes_.broken("protocol {}, expected 2 to 5", version);
  }

  void long_integer(std::uint64_t width) {
    if (width > sizeof(std::int64_t)) return stack_.push_text(Kind::kLongInteger, bytes_.take(width));
    std::uint64_t value = bytes_.number(width);
    // Two's complement in as few bytes as it takes: the sign goes on into the others.
    if (width > 0 && width < 8 && (value >> (8 * width - 1)) != 0) value |= ~std::uint64_t{0} << (8 * width);
    stack_.push(Kind::kInteger, static_cast<std::int64_t>(value));
  }

  bool constant(std::uint8_t operation) {
    switch (operation) {
      case 'N':
        return stack_.push(Kind::kNone), true;
      case 0x88:
        return stack_.push(Kind::kBool, 1), true;
      case 0x89:
        return stack_.push(Kind::kBool, 0), true;
      case 'J':
        return stack_.push(Kind::kInteger, static_cast<std::int32_t>(bytes_.number(4))), true;
      case 'K':
        return stack_.push(Kind::kInteger, bytes_.byte()), true;
      case 'M':
        return stack_.push(Kind::kInteger, static_cast<std::int64_t>(bytes_.number(2))), true;
      case 0x8a:
        return long_integer(bytes_.byte()), true;
      case 0x8b:
        return long_integer(bytes_.number(4)), true;
      case 'G':
        return bytes_.take(8), stack_.push(Kind::kOther), true;
      default:
        return false;
    }
  }

  bool text(std::uint8_t operation) {
    switch (operation) {
      case 'U':   // Python 2's str
      case 'C':   // bytes
      case 0x8c:  // str
        return stack_.push_text(Kind::kText, bytes_.take(bytes_.byte())), true;
      case 'T':
      case 'B':
      case 'X':
        return stack_.push_text(Kind::kText, bytes_.take(bytes_.number(4))), true;
      case 0x8d:
      case 0x8e:
        return stack_.push_text(Kind::kText, bytes_.take(bytes_.number(8))), true;
      default:
        return false;
    }
  }

  bool container(std::uint8_t operation) {
    switch (operation) {
      case ')':
        return stack_.push_node(Node::kTuple), true;
      case ']':
      case 0x8f:  // a set
        return stack_.push_node(Node::kList), true;
      case '}':
        return stack_.push_node(Node::kDict), true;
      case 0x85:
      case 0x86:
      case 0x87:
        return stack_.push_node(Node::kTuple, stack_.pop(operation - 0x84U)), true;
      case 't':
        return stack_.push_node(Node::kTuple, stack_.pop_to_mark()), true;
      case 'l':
      case 0x91:  // a frozen set
        return stack_.push_node(Node::kList, stack_.pop_to_mark()), true;
      default:
        return false;
    }
  }

  void put_items(Node kind, const std::vector<PickleValue>& items) {
    PickleNode* node = stack_.node(stack_.top());
    const bool dict = kind == Node::kDict;
    if (node == nullptr || (node->kind != kind && !(dict && node->kind == Node::kCall))) {
      bytes_.broken("items for what is no {}", dict ? "dictionary" : "list");
    }
    if (dict && items.size() % 2 != 0) bytes_.broken("a key without a value");
    node->items.insert(node->items.end(), items.begin(), items.end());
  }

  bool filling(std::uint8_t operation) {
    switch (operation) {
      case 'a':
        return put_items(Node::kList, stack_.pop(1)), true;
      case 'e':
      case 0x90:  // of a set
        return put_items(Node::kList, stack_.pop_to_mark()), true;
      case 's':
        return put_items(Node::kDict, stack_.pop(2)), true;
      case 'u':
        return put_items(Node::kDict, stack_.pop_to_mark()), true;
      case 'd': {
        const std::vector<PickleValue> items = stack_.pop_to_mark();
        stack_.push_node(Node::kDict);
        return put_items(Node::kDict, items), true;
      }
      default:
        return false;
    }
  }

  void global(std::string_view module, std::string_view name) {
    const std::string full = fmt::format("{}.{}", module, name);
    const auto found = std::find(globals_.begin(), globals_.end(), full);
    if (found == globals_.end()) {
      user_error("{}: the pickle asks for '{}', which a state dictionary does not need; nothing was executed",
                 bytes_.origin(), printable(full));
    }
    stack_.push(Kind::kGlobal, found - globals_.begin());
  }

  void global_from_stack() {
    const std::vector<PickleValue> names = stack_.pop(2);
    const std::string_view* module = stack_.made().text(names[0]);
    const std::string_view* name = stack_.made().text(names[1]);
    if (module == nullptr || name == nullptr) bytes_.broken("a global that is not named by texts");
    global(*module, *name);
  }

  void call() {
    const std::vector<PickleValue> parts = stack_.pop(2);
    if (parts[0].kind != Kind::kGlobal) bytes_.broken("a call of what is no global");
    if (stack_.made().node(parts[1], Node::kTuple) == nullptr)
      bytes_.broken("a call without a tuple of arguments");
    PickleNode& node = stack_.push_node(Node::kCall);
    node.callee = static_cast<std::int32_t>(parts[0].number);
    node.arguments = parts[1];
  }

  void build() {
    const PickleValue state = stack_.pop();
    PickleNode* node = stack_.node(stack_.top());
    if (node == nullptr || node->kind != Node::kCall) bytes_.broken("a state for what was not called");
    node->state = state;
  }

  void persistent() {
    const PickleValue id = stack_.pop();
    stack_.push_node(Node::kPersistent).arguments = id;
  }

  bool object(std::uint8_t operation) {
    switch (operation) {
      case 'c': {
        const std::string_view module = bytes_.line();
        return global(module, bytes_.line()), true;
      }
      case 0x93:
        return global_from_stack(), true;
      case 'R':
      case 0x81:  // of a class's __new__
        return call(), true;
      case 'b':
        return build(), true;
      case 'Q':
        return persistent(), true;
      default:
        return false;
    }
  }

  bool memory(std::uint8_t operation) {
    switch (operation) {
      case '(':
        return stack_.mark(), true;
      case '0':
        return stack_.pop(), true;
      case '1':
        return stack_.pop_to_mark(), true;
      case '2':
        return stack_.push(stack_.top()), true;
      case 'q':
        return stack_.remember(bytes_.byte()), true;
      case 'r':
        return stack_.remember(bytes_.number(4)), true;
      case 0x94:
        return stack_.remember_next(), true;
      case 'h':
        return stack_.recall(bytes_.byte()), true;
      case 'j':
        return stack_.recall(bytes_.number(4)), true;
      case kProtocol:
        return protocol(), true;
      case 0x95:  // a frame: how far a reader may read ahead
        return bytes_.take(8), true;
      default:
        return false;
    }
  }

  PickleBytes bytes_;
  PickleStack stack_;
  std::span<const std::string_view> globals_;
};

}  // namespace

const PickleNode* Pickle::node(PickleValue value, PickleNode::Kind kind) const {
  if (value.kind != PickleValue::Kind::kNode) return nullptr;
  const PickleNode& found = nodes[static_cast<std::size_t>(value.number)];
  return found.kind == kind ? &found : nullptr;
}

const std::string_view* Pickle::text(PickleValue value) const {
  return value.kind == PickleValue::Kind::kText ? &texts[static_cast<std::size_t>(value.number)] : nullptr;
}

Pickle parse_pickle(std::string_view bytes, std::span<const std::string_view> globals,
                    const std::string& origin) {
  return Machine(bytes, globals, origin).run();
}

}  // namespace refnorm
