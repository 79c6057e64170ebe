#include "proxy/guard/address_lists.h"

#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "proxy/base/all_errors.h"
#include "proxy/base/status_macros.h"
#include "proxy/guard/address_file.h"

namespace postern::guard {
namespace {

// Less than this is gone in a moment.
constexpr size_t kLargeListBytes = 4'000'000;

void LetGo(const AddressLists* lists) {
  if (lists->allow.bytes() + lists->deny.bytes() >= kLargeListBytes) {
    try {
      std::thread([lists] { delete lists; }).detach();
      return;
    } catch (const std::system_error&) {
      // No thread to be had: then here.
    }
  }
  delete lists;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const AddressLists>> LoadAddressLists(const Options& options) {
  auto lists = std::make_unique<AddressLists>();
  AllErrors errors;
  for (const std::string& file : options.allow_files) {
    errors.Add(LoadAddressFile(file, &lists->allow));
  }
  for (const std::string& file : options.deny_files) {
    errors.Add(LoadAddressFile(file, &lists->deny));
  }
  RETURN_IF_ERROR(errors.ToStatus());
  lists->allow.Finish();
  lists->deny.Finish();
  return std::shared_ptr<const AddressLists>(lists.release(), &LetGo);
}

}  // namespace postern::guard
