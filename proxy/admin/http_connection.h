// A connected socket as cpp-httplib wants to see it, with limits of our own.
//
// cpp-httplib's socket stream gives each read and each write a timeout of its own, so a peer that
// sends or takes a byte now and then holds a thread for hours, and the headers of a request may be
// as many as it likes. Here a whole request has one deadline and one size, and so has a whole
// answer.
#ifndef POSTERN_PROXY_ADMIN_HTTP_CONNECTION_H_
#define POSTERN_PROXY_ADMIN_HTTP_CONNECTION_H_

#include <httplib.h>

#include <array>
#include <cstddef>
#include <string>

#include "proxy/base/time.h"

namespace postern::admin {

// One thread. Owns the socket, which must be non-blocking.
class HttpConnection : public httplib::Stream {
 public:
  struct Limits {
    size_t request_bytes = 16 * 1024;
    DurationNs read_timeout = 0;
    DurationNs write_timeout = 0;
    DurationNs idle_timeout = 0;
  };

  // `stop_fd` becomes readable when the server stops; all waiting ends then.
  HttpConnection(int fd, int stop_fd, const Limits& limits);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Waits for the first byte of the next request. False when the connection should be closed: the
  // peer is gone, nothing came in time, the server stops, or `yield_fd` (the listening socket; -1
  // for none) is readable after `grace`, which is somebody who waits for this thread.
  bool AwaitRequest(int yield_fd, DurationNs grace);

  // Ends the answer and takes what the peer still sends, for a short time: closing a socket with
  // unread bytes resets the connection, and the peer would lose the answer.
  void Finish();

  // httplib::Stream of cpp-httplib 0.11 (is_writable) and of later ones (wait_*, duration). No
  // `override`, because no version has all of them.
  bool is_readable() const;
  bool is_writable() const;
  bool wait_readable() const;
  bool wait_writable() const;
  ssize_t read(char* data, size_t size);
  ssize_t write(const char* data, size_t size);
  void get_remote_ip_and_port(std::string& ip, int& port) const;
  void get_local_ip_and_port(std::string& ip, int& port) const;
  int socket() const;
  time_t duration() const;

 private:
  // Waits for `events`; false at the deadline, on stop or on failure.
  bool Wait(short events, TimeNs deadline) const;
  // Fills the empty buffer; the result of recv(2).
  ssize_t Fill(TimeNs deadline);

  const int fd_;
  const int stop_fd_;
  const Limits limits_;
  TimeNs read_deadline_ = 0;
  TimeNs write_deadline_ = 0;  // 0: nothing of the answer written yet
  size_t request_bytes_left_ = 0;
  std::array<char, 4096> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_HTTP_CONNECTION_H_
