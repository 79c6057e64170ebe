#include "proxy/lookup_tls_stream.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/byte_arena.h"
#include "proxy/base/secret.h"
#include "proxy/base/status_macros.h"
#include "tls/context.h"

namespace postern {
namespace {

using routing::ByteStream;
using routing::Deadline;

class TlsStream final : public ByteStream {
 public:
  explicit TlsStream(std::unique_ptr<ByteStream> inner) : inner_(std::move(inner)) {
    output_.set_wipe(true);
  }
  ~TlsStream() override { WipeMemory(input_.data(), input_.size()); }

  absl::Status Start(const tls::ClientOptions& options, Deadline deadline) {
    ASSIGN_OR_RETURN(context_, tls::ClientContext::Create(options, &library_));
    engine_ = context_->NewEngine(&output_);
    while (true) {
      const tls::Result result = engine_->Handshake();
      RETURN_IF_ERROR(Flush(deadline));
      if (result == tls::Result::kOk) return absl::OkStatus();
      RETURN_IF_ERROR(Failed(result));
      RETURN_IF_ERROR(Fill(deadline));
    }
  }

  absl::Status Write(absl::string_view bytes, Deadline deadline) override {
    const tls::Result result = engine_->Write(bytes);
    const absl::Status flushed = Flush(deadline);
    RETURN_IF_ERROR(Failed(result));
    return flushed;
  }

  absl::StatusOr<size_t> Read(char* to, size_t size, Deadline deadline) override {
    while (true) {
      size_t got = 0;
      const tls::Result result = engine_->Read(to, size, &got);
      RETURN_IF_ERROR(Flush(deadline));
      if (result == tls::Result::kOk) return got;
      RETURN_IF_ERROR(Failed(result));
      RETURN_IF_ERROR(Fill(deadline));
    }
  }

 private:
  // OK for what may go on.
  absl::Status Failed(tls::Result result) const {
    if (result == tls::Result::kError) {
      return absl::UnavailableError(absl::StrCat("TLS: ", engine_->error()));
    }
    if (result == tls::Result::kClosed) {
      return absl::UnavailableError("the server closed the connection");
    }
    return absl::OkStatus();
  }

  absl::Status Flush(Deadline deadline) {
    if (output_.empty()) return absl::OkStatus();
    const absl::Status status = inner_->Write(output_.view(), deadline);
    output_.Clear();
    return status;
  }

  absl::Status Fill(Deadline deadline) {
    ASSIGN_OR_RETURN(const size_t got, inner_->Read(input_.data(), input_.size(), deadline));
    engine_->SetInput(absl::string_view(input_.data(), got));
    return absl::OkStatus();
  }

  const std::unique_ptr<ByteStream> inner_;
  tls::Library library_;
  BlockPool blocks_;
  ByteArena output_{&blocks_};
  std::unique_ptr<tls::ClientContext> context_;
  std::unique_ptr<tls::Engine> engine_;
  std::array<char, 16384> input_{};
};

}  // namespace

routing::StreamWrapper TlsWrapper(const routing::LookupTls& tls) {
  if (!tls.on) return nullptr;
  return [tls](std::unique_ptr<ByteStream> stream, const std::string& host,
               Deadline deadline) -> absl::StatusOr<std::unique_ptr<ByteStream>> {
    tls::ClientOptions options;
    options.ca_file = tls.ca_file;
    options.insecure = tls.insecure;
    options.server_name = host;
    auto wrapped = std::make_unique<TlsStream>(std::move(stream));
    RETURN_IF_ERROR(wrapped->Start(options, deadline));
    return std::unique_ptr<ByteStream>(std::move(wrapped));
  };
}

}  // namespace postern
