// A file descriptor that is closed with its owner.
#ifndef POSTERN_PROXY_BASE_FILE_DESCRIPTOR_H_
#define POSTERN_PROXY_BASE_FILE_DESCRIPTOR_H_

#include <unistd.h>

namespace postern {

class FileDescriptor {
 public:
  // Owns `fd`; a negative one is none.
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace postern

#endif  // POSTERN_PROXY_BASE_FILE_DESCRIPTOR_H_
