#include "bench/maildrop/mailbox.h"

#include <algorithm>
#include <utility>

#include "bench/maildrop/samples.h"
#include "proxy/base/check.h"
#include "routing/stable_hash.h"

namespace postern::maildrop {

uint64_t MailboxOptions::CountOf(uint64_t user_hash) const {
  if (!counts) return messages;
  // Other bits than those of a message: a user with many messages need not have large ones.
  return counts->SizeOf(routing::MixBits(user_hash ^ routing::MixBits(~seed)));
}

Mailbox::Mailbox(const MailboxOptions* options, Deletions* deletions, std::string user)
    : options_(options),
      deletions_(deletions),
      user_(std::move(user)),
      user_hash_(routing::StableHash(user_)),
      gone_(deletions->Find(user_)) {
  const uint64_t count = options->CountOf(user_hash_);
  CHECK(gone_.size() <= count);
  size_ = count - gone_.size();
}

void Mailbox::Mark(size_t index) {
  if (marks_.empty()) marks_.resize(size_);
  marks_[index - 1] = true;
}

// The index-th number that is not gone.
uint64_t Mailbox::NumberOf(size_t index) const {
  CHECK(index >= 1 && index <= size_);
  // gone_[i] - (i + 1) messages before gone_[i] are still there, and that never falls.
  size_t low = 0;
  size_t high = gone_.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (gone_[middle] - (middle + 1) < index) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return index + low;
}

bool Mailbox::IsSample(uint64_t number) const { return options_->samples && number <= kSamples; }

MessageId Mailbox::IdOf(size_t index) const {
  MessageId id;
  id.user = user_;
  id.store = options_->store;
  id.number = NumberOf(index);
  id.seed = options_->seed;
  if (!IsSample(id.number)) {
    id.octets = options_->sizes.fixed()
                    ? options_->sizes.SizeOf(0)
                    : options_->sizes.SizeOf(MessageBits(user_hash_, id.number, id.seed));
  }
  return id;
}

uint64_t Mailbox::Octets(size_t index) const {
  const MessageId id = IdOf(index);
  if (!IsSample(id.number)) return id.octets;
  const Sample sample = MakeSample(id.number, user_, options_->store);
  return SampleOctets(id, sample.subject, sample.text);
}

void Mailbox::Stat(uint64_t* messages, uint64_t* octets) const {
  *messages = *octets = 0;
  if (options_->sizes.fixed() && !options_->samples && marks_.empty()) {
    *messages = size_;
    *octets = size_ * options_->sizes.SizeOf(0);
    return;
  }
  for (size_t index = 1; index <= size_; ++index) {
    if (marked(index)) continue;
    ++*messages;
    *octets += Octets(index);
  }
}

std::string Mailbox::UniqueIdOf(size_t index) const {
  return UniqueId(user_, NumberOf(index), options_->seed);
}

MessageStream Mailbox::Open(size_t index, uint64_t body_lines) const {
  const MessageId id = IdOf(index);
  if (!IsSample(id.number)) return MessageStream(id, body_lines);
  const Sample sample = MakeSample(id.number, user_, options_->store);
  return MessageStream(id, sample.subject, sample.text, body_lines);
}

bool Mailbox::Commit() {
  std::vector<uint32_t> numbers;
  for (size_t index = 1; index <= size_; ++index) {
    if (marked(index)) numbers.push_back(static_cast<uint32_t>(NumberOf(index)));
  }
  return numbers.empty() || deletions_->Add(user_, numbers);
}

}  // namespace postern::maildrop
