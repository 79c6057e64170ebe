// Runs every coroutine form this project allows, with objects that count their own lives.
//
// g++ 12 compiles many ordinary forms wrongly and says nothing: captures and members destroyed
// twice, a crash at the first resume. A compiler, or an option, that breaks an allowed form fails
// here instead of in a session. The rules C1 to C8 are in CONTRIBUTING.md, "Coroutines".
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "proxy/coro/frame_pool.h"
#include "proxy/coro/status_macros.h"
#include "proxy/coro/task.h"
#include "proxy/coro/wake.h"

namespace postern::coro {
namespace {

// Counts its lives; a second destruction of the same object shows as a missing or extra one.
class Counted {
 public:
  explicit Counted(int value) : value_(value), self_(this) { ++made_; }
  Counted(const Counted& other) : value_(other.value_), self_(this) { ++made_; }
  Counted(Counted&& other) noexcept : value_(std::exchange(other.value_, -1)), self_(this) {
    ++made_;
  }
  Counted& operator=(const Counted&) = default;
  ~Counted() {
    if (self_ != this) ++wrong_;
    self_ = nullptr;
    ++gone_;
  }
  int value() const { return value_; }

  static void Reset() { made_ = gone_ = wrong_ = 0; }
  static int made() { return made_; }
  static int gone() { return gone_; }
  static int wrong() { return wrong_; }

 private:
  inline static int made_ = 0;
  inline static int gone_ = 0;
  inline static int wrong_ = 0;
  int value_;
  const Counted* self_;
  std::string owned_ = std::string(40, 'x');
};

// A parameter struct with a constructor (C3).
struct Request {
  Request(int a, int b) : first(a), second(b) {}
  Counted first;
  Counted second;
};

// A trivial aggregate: nothing to destroy, so nothing is destroyed twice.
struct Point {
  int x;
  int y;
};

// Children suspend once, or complete at once, by choice of the test.
struct World {
  Wake wake;
  bool suspend = true;
  int result = -1;
  std::vector<int> seen;
};

[[gnu::noinline]] Task<int> Child(World* world, int value) {
  if (world->suspend) co_await world->wake.Wait();
  co_return value;
}
[[gnu::noinline]] Task<Counted> CountedChild(World* world, int value) {
  Counted counted(value);
  if (world->suspend) co_await world->wake.Wait();
  co_return counted;
}
[[gnu::noinline]] Task<int> TakesValue(World* world, Counted counted) {
  if (world->suspend) co_await world->wake.Wait();
  co_return counted.value();
}
[[gnu::noinline]] Task<int> TakesRequest(World* world, Request request) {
  if (world->suspend) co_await world->wake.Wait();
  co_return request.first.value() + request.second.value();
}
[[gnu::noinline]] Task<int> TakesPoint(World* world, Point point) {
  if (world->suspend) co_await world->wake.Wait();
  co_return point.x + point.y;
}
[[gnu::noinline]] Task<int> TakesView(World* world, absl::string_view text,
                                      const Counted* counted) {
  if (world->suspend) co_await world->wake.Wait();
  co_return static_cast<int>(text.size()) + counted->value();
}
[[gnu::noinline]] Task<absl::Status> StatusChild(World* world, bool ok) {
  Counted counted(1);
  if (world->suspend) co_await world->wake.Wait();
  if (!ok) co_return absl::AbortedError("as the test wants it");
  co_return absl::OkStatus();
}
[[gnu::noinline]] Task<absl::StatusOr<Counted>> StatusOrChild(World* world, int value) {
  if (world->suspend) co_await world->wake.Wait();
  if (value < 0) co_return absl::AbortedError("as the test wants it");
  co_return Counted(value);
}

// --- the forms ----------------------------------------------------------------------------------

// C1: `T v = co_await F();`
Task<void> NamedResult(World* world) {
  const int a = co_await Child(world, 1);
  const Counted b = co_await CountedChild(world, 2);
  world->result = a + b.value();
}
// C1: an assignment, and a statement of its own.
Task<void> AssignedAndDropped(World* world) {
  int a = 0;
  a = co_await Child(world, 3);
  co_await world->wake.Wait();
  world->result = a;
}
// C1: `co_return co_await F();`
Task<int> Forwarded(World* world) { co_return co_await Child(world, 3); }
Task<void> ReturnsAwait(World* world) { world->result = co_await Forwarded(world); }
// C1: the initialiser of an if, with and without a local before it.
Task<void> IfInitialiser(World* world) {
  if (absl::Status status = co_await StatusChild(world, true); !status.ok()) co_return;
  world->result = 3;
}
Task<absl::Status> IfInitialiserFails(World* world) {
  if (absl::Status status = co_await StatusChild(world, false); !status.ok()) co_return status;
  co_return absl::OkStatus();
}
Task<void> RunIfInitialiserFails(World* world) {
  const absl::Status status = co_await IfInitialiserFails(world);
  world->result = status.code() == absl::StatusCode::kAborted ? 3 : -2;
}
// C2: the condition tests a named value, even where the outer block has no local of its own.
Task<void> NamedCondition(World* world) {
  for (int i = 0; i < 3; ++i) {
    const int value = co_await Child(world, i);
    if (value > 0 && value < 3) world->seen.push_back(value);
  }
  world->result = static_cast<int>(world->seen.size()) + 1;
}
Task<void> LoopUntil(World* world) {
  while (true) {
    const int value = co_await Child(world, static_cast<int>(world->seen.size()));
    world->seen.push_back(value);
    if (value == 3) break;
  }
  world->result = world->seen.back();
}
// C3: named arguments, copied and moved.
Task<void> NamedArguments(World* world) {
  Counted copied(1);
  Counted moved(2);
  const int a = co_await TakesValue(world, copied);
  const int b = co_await TakesValue(world, std::move(moved));
  world->result = a + b;
}
// C3: temporaries of classes with constructors.
Task<void> TemporaryWithConstructor(World* world) {
  const int a = co_await TakesValue(world, Counted(1));
  const int b = co_await TakesRequest(world, Request(1, 1));
  world->result = a + b;
}
Task<void> NamedRequest(World* world) {
  Request request(1, 2);
  world->result = co_await TakesRequest(world, std::move(request));
}
Task<void> TrivialAggregate(World* world) {
  const Point point{1, 2};
  world->result = co_await TakesPoint(world, point);
}
// C5: views and pointers to what outlives the call.
Task<void> ViewsAndPointers(World* world) {
  const std::string text = "ab";
  const Counted counted(1);
  world->result = co_await TakesView(world, text, &counted);
}
// Structured bindings, range-for, a switch over a named value, nested blocks with awaits.
Task<void> OrdinaryStatements(World* world) {
  const std::array<Counted, 2> values = {Counted(1), Counted(2)};
  int sum = 0;
  for (const Counted& value : values) {
    const int echoed = co_await Child(world, value.value());
    sum += echoed;
  }
  const int kind = co_await Child(world, 4);
  switch (kind) {
    case 4: {
      const Counted inner = co_await CountedChild(world, sum);
      world->result = inner.value();
      break;
    }
    default:
      break;
  }
}
Task<std::pair<Counted, int>> PairChild(World* world) {
  if (world->suspend) co_await world->wake.Wait();
  co_return std::pair<Counted, int>(Counted(1), 2);
}
Task<void> StructuredBinding(World* world) {
  const auto [counted, number] = co_await PairChild(world);
  world->result = counted.value() + number;
}
// The early-return macros.
Task<absl::Status> Macros(World* world, int value) {
  CO_RETURN_IF_ERROR(co_await StatusChild(world, true));
  CO_ASSIGN_OR_RETURN(const Counted counted, co_await StatusOrChild(world, value));
  world->result = counted.value();
  co_return absl::OkStatus();
}
Task<void> RunMacros(World* world) {
  const absl::Status failed = co_await Macros(world, -1);
  const absl::Status status = co_await Macros(world, 3);
  if (failed.ok() || !status.ok()) world->result = -3;
}
// A coroutine member function, with state in the object.
class Dialogue {
 public:
  explicit Dialogue(World* world) : world_(world), counted_(1) {}
  Task<void> Run() {
    const int more = co_await Add(2);
    world_->result = more;
  }

 private:
  [[gnu::noinline]] Task<int> Add(int value) {
    const int added = co_await Child(world_, value);
    co_return counted_.value() + added;
  }
  World* world_;
  Counted counted_;
};
Task<void> MemberCoroutine(World* world) {
  Dialogue dialogue(world);
  co_await dialogue.Run();
}
// A long-lived coroutine around three levels of children.
Task<int> Middle(World* world) {
  const Counted held(2);
  const int below = co_await Child(world, 1);
  co_return below + held.value();
}
Task<void> ThreeLevels(World* world) {
  const Counted held(0);
  const int sum = co_await Middle(world);
  world->result = sum + held.value();
}
// A captureless lambda beside an await (not a coroutine itself).
Task<void> CapturelessLambda(World* world) {
  int (*const add)(int, int) = [](int a, int b) { return a + b; };
  const int a = co_await Child(world, 1);
  world->result = add(a, 2);
}

struct Form {
  const char* name;
  Task<void> (*run)(World* world);
};

class CoroutineForms : public testing::TestWithParam<Form> {
 protected:
  void Run(bool suspend) {
    Counted::Reset();
    const size_t live = FramePool::ThisThread().live();
    const size_t bytes = FramePool::ThisThread().live_bytes();
    {
      World world;
      world.suspend = suspend;
      bool done = false;
      Detach(
          GetParam().run(&world), [](void* flag) { *static_cast<bool*>(flag) = true; }, &done);
      while (world.wake.waiting()) world.wake.Fire();
      EXPECT_TRUE(done);
      // Each form adds up to three, by its own way.
      EXPECT_EQ(world.result, 3);
    }
    EXPECT_EQ(Counted::made(), Counted::gone());
    EXPECT_EQ(Counted::wrong(), 0);
    EXPECT_EQ(FramePool::ThisThread().live(), live);
    EXPECT_EQ(FramePool::ThisThread().live_bytes(), bytes);
  }
};

TEST_P(CoroutineForms, Suspending) { Run(true); }
TEST_P(CoroutineForms, CompletingAtOnce) { Run(false); }

INSTANTIATE_TEST_SUITE_P(
    All, CoroutineForms,
    testing::Values(
        Form{"NamedResult", NamedResult}, Form{"AssignedAndDropped", AssignedAndDropped},
        Form{"ReturnsAwait", ReturnsAwait}, Form{"IfInitialiser", IfInitialiser},
        Form{"IfInitialiserFails", RunIfInitialiserFails}, Form{"NamedCondition", NamedCondition},
        Form{"LoopUntil", LoopUntil}, Form{"NamedArguments", NamedArguments},
        Form{"TemporaryWithConstructor", TemporaryWithConstructor},
        Form{"NamedRequest", NamedRequest}, Form{"TrivialAggregate", TrivialAggregate},
        Form{"ViewsAndPointers", ViewsAndPointers}, Form{"OrdinaryStatements", OrdinaryStatements},
        Form{"StructuredBinding", StructuredBinding}, Form{"Macros", RunMacros},
        Form{"MemberCoroutine", MemberCoroutine}, Form{"ThreeLevels", ThreeLevels},
        Form{"CapturelessLambda", CapturelessLambda}),
    [](const testing::TestParamInfo<Form>& form) { return std::string(form.param.name); });

}  // namespace
}  // namespace postern::coro
