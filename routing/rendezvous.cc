#include "routing/rendezvous.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "absl/numeric/bits.h"
#include "absl/numeric/int128.h"
#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::routing {
namespace {

// -ln(1 - i / 1024) for i = 0..512, in units of 2^-58.
constexpr int kFractionBits = 58;
constexpr double kUnit = static_cast<double>(uint64_t{1} << kFractionBits);
constexpr size_t kSegments = 512;

constexpr std::array<uint64_t, kSegments + 1> MakeLogTable() {
  std::array<uint64_t, kSegments + 1> table{};
  for (size_t i = 0; i < kSegments; ++i) {
    // ln(n / (n - 1)) = 2 atanh(1 / (2n - 1)), n = 1024 - i, by its power series.
    const uint64_t divisor = 2 * (1024 - i) - 1;
    uint64_t power = (uint64_t{1} << (kFractionBits + 1)) / divisor;
    uint64_t sum = 0;
    for (uint64_t k = 1; power != 0; k += 2) {
      sum += power / k;
      power /= divisor * divisor;
    }
    table[i + 1] = table[i] + sum;
  }
  return table;
}

constexpr std::array<uint64_t, kSegments + 1> kLogTable = MakeLogTable();

// -ln(hash / 2^64), never increasing in `hash`. Linear between the table's points; the ends of the
// table are 0 and ln 2, so it is continuous.
uint64_t MinusLog(uint64_t hash) {
  hash = std::max<uint64_t>(hash, 1);
  const int halvings = absl::countl_zero(hash);
  const uint64_t below_one = ~(hash << halvings) + 1;  // 1 - mantissa, in [2^0, 2^63] of 2^64
  const size_t segment = std::min<size_t>(below_one >> 54, kSegments - 1);
  const uint64_t rest = below_one - (static_cast<uint64_t>(segment) << 54);
  const uint64_t step = kLogTable[segment + 1] - kLogTable[segment];
  const absl::uint128 part = absl::uint128(step) * rest;
  return static_cast<uint64_t>(halvings) * kLogTable[kSegments] + kLogTable[segment] +
         static_cast<uint64_t>(part >> 54);
}

// Stands in for it where all weights are equal: the order of the logarithms is the order of the
// hashes, so that giving one backend another weight leaves the others' order as it was.
uint64_t OneMinus(uint64_t hash) { return ~hash >> (64 - kFractionBits); }

// Far more than what doubles round off.
constexpr double kRounding = 1e-12;

// A hash below it costs more than `score` for each unit of weight, for all weights up to
// `heaviest`: -ln(x) is at least 1 - x, and the table's points are rounded down by less than the
// margin.
uint64_t LeastHash(double score, uint64_t heaviest) {
  constexpr double kMargin = 4096;
  const double cost = score * static_cast<double>(heaviest) * (1 + kRounding) + kMargin;
  // Also where there is no limit: infinity, or infinity times 0.
  if (!(cost < kUnit - kMargin)) return 0;
  return ~((static_cast<uint64_t>(cost) + 2) << (64 - kFractionBits));
}

// So many members are drawn for without a guess.
constexpr size_t kFewMembers = 48;
// And of more, this many at a time.
constexpr size_t kBlock = 512;
static_assert(kBlock % kLotStride == 0);

// So many lots within the limit leave too few in less than one case of a hundred.
double FirstGuess(size_t wanted) { return 3 + 2 * static_cast<double>(wanted); }
constexpr double kSecondGuess = 16;  // times the first

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

}  // namespace

struct Rendezvous::Lot {
  uint64_t hash;
  uint64_t cost;  // -ln(u), fixed-point
  uint64_t weight;
  uint32_t rank;
  int index;

  // A total order, so it does not matter in which order lots are drawn.
  bool operator<(const Lot& other) const {
    // cost / weight without a division.
    const absl::uint128 left = absl::uint128(cost) * other.weight;
    const absl::uint128 right = absl::uint128(other.cost) * weight;
    if (left != right) return left < right;
    if (hash != other.hash) return hash > other.hash;
    return rank < other.rank;
  }
  double score() const { return static_cast<double>(cost) / static_cast<double>(weight); }
};

// The best of the lots that were offered, in order.
struct Rendezvous::BestLots {
  explicit BestLots(size_t count) : wanted(count) {}

  bool full() const { return drawn == wanted; }
  const Lot& last() const { return lots[drawn - 1]; }
  void Offer(const Lot& lot) {
    size_t place = drawn;
    while (place > 0 && lot < lots[place - 1]) --place;
    if (place == wanted) return;
    drawn = std::min(drawn + 1, wanted);
    for (size_t i = drawn - 1; i > place; --i) lots[i] = lots[i - 1];
    lots[place] = lot;
  }

  std::array<Lot, kBestMax> lots;
  size_t drawn = 0;
  const size_t wanted;
};

class Rendezvous::Search {
 public:
  // `heaviest` 0: each block's first member is its heaviest.
  Search(const Rendezvous& all, uint64_t user_hash, size_t members, bool by_hash, uint32_t heaviest,
         Weight weight, size_t wanted)
      : all_(all),
        user_(FoldBits(user_hash)),
        members_(members),
        by_hash_(by_hash),
        heaviest_(heaviest),
        weight_(weight),
        best_(wanted) {}

  size_t members() const { return members_; }
  const BestLots& best() const { return best_; }

  // Whether these are the best: whatever scores `limit` or less has been drawn.
  bool Try(double limit) {
    best_.drawn = 0;
    for (size_t from = 0; from < members_; from += kBlock) {
      DrawBlock(from, std::min(from + kBlock, members_), limit);
    }
    return limit == kNoLimit || (best_.full() && best_.last().score() <= limit * (1 - kRounding));
  }

 private:
  void DrawBlock(size_t from, size_t to, double limit) {
    const uint64_t heaviest = heaviest_ > 0 ? heaviest_ : all_.weights_[from];
    uint64_t least = LeastHash(best_.full() ? best_.last().score() : limit, heaviest);
    if (least == 0) {
      for (size_t position = from; position < to; ++position) Draw(position, heaviest, &least);
      return;
    }
    std::array<uint16_t, kBlock> passing;
    const size_t padded = (to - from + kLotStride - 1) / kLotStride * kLotStride;
    const size_t found =
        all_.filter_(all_.seeds_.data() + from, padded, user_, least, passing.data());
    for (size_t i = 0; i < found && from + passing[i] < to; ++i) {
      Draw(from + passing[i], heaviest, &least);
    }
  }

  void Draw(size_t position, uint64_t heaviest, uint64_t* least) {
    const uint64_t hash = FoldBits(StirBits(user_ ^ all_.seeds_[position]));
    if (hash < *least) return;
    const uint32_t weight = weight_(position);
    if (weight == 0) return;
    best_.Offer(Lot{hash, by_hash_ ? OneMinus(hash) : MinusLog(hash), weight, all_.ranks_[position],
                    all_.indices_[position]});
    if (!best_.full()) return;
    *least = by_hash_ ? best_.last().hash : LeastHash(best_.last().score(), heaviest);
  }

  const Rendezvous& all_;
  const uint64_t user_;
  const size_t members_;
  const bool by_hash_;
  const uint32_t heaviest_;
  const Weight weight_;
  BestLots best_;
};

Rendezvous::Rendezvous(const std::vector<Member>& by_name) : filter_(LotFilters().back()) {
  ranks_.resize(by_name.size());
  std::iota(ranks_.begin(), ranks_.end(), uint32_t{0});
  // Not std::stable_sort: clang calls a part of libstdc++'s deprecated.
  std::sort(ranks_.begin(), ranks_.end(), [&by_name](uint32_t a, uint32_t b) {
    const uint32_t left = by_name[a].weight;
    const uint32_t right = by_name[b].weight;
    return left != right ? left > right : a < b;
  });
  for (const uint32_t rank : ranks_) {
    const Member& member = by_name[rank];
    seeds_.push_back(FoldBits(member.seed));
    weights_.push_back(member.weight);
    indices_.push_back(member.index);
    weight_sum_ += member.weight;
    if (member.weight == 0) continue;
    ++weighted_;
    equal_weights_ = equal_weights_ && member.weight == weights_.front();
  }
  seeds_.resize((seeds_.size() + kLotStride - 1) / kLotStride * kLotStride);
}

int Rendezvous::Find(Search* search, double sum, absl::Span<int> best) const {
  const double guess = FirstGuess(best.size()) / sum * kUnit;
  const bool few = search->members() <= kFewMembers;
  if (few || (!search->Try(guess) && !search->Try(guess * kSecondGuess))) search->Try(kNoLimit);
  const BestLots& found = search->best();
  for (size_t i = 0; i < found.drawn; ++i) best[i] = found.lots[i].index;
  return static_cast<int>(found.drawn);
}

int Rendezvous::Best(uint64_t user_hash, absl::Span<int> best,
                     absl::FunctionRef<bool(int index)> usable) const {
  CHECK(best.size() <= kBestMax);
  if (best.empty()) return 0;
  const auto weight = [&](size_t position) {
    const uint32_t own = equal_weights_ ? 1 : weights_[position];
    return usable(indices_[position]) ? own : 0;
  };
  Search search(*this, user_hash, weighted_, equal_weights_, equal_weights_ ? 1 : 0, weight,
                best.size());
  return Find(&search, static_cast<double>(equal_weights_ ? weighted_ : weight_sum_), best);
}

int Rendezvous::BestBy(uint64_t user_hash, absl::Span<int> best, const WeightBounds& bounds,
                       absl::FunctionRef<uint32_t(int index)> weight) const {
  CHECK(best.size() <= kBestMax);
  if (best.empty()) return 0;
  const auto by_position = [&](size_t position) { return weight(indices_[position]); };
  Search search(*this, user_hash, indices_.size(), /*by_hash=*/false,
                std::max<uint32_t>(bounds.most, 1), by_position, best.size());
  return Find(&search, static_cast<double>(bounds.sum), best);
}

}  // namespace postern::routing
